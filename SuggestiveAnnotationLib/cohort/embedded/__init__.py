"""The embedded cohort: made-up brains for demos, tests and experiments."""
