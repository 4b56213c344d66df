"""The embedded cohort: synthetic brains for demos, tests and experiments."""
