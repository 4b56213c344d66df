"""The background process: the engine's verbs behind JSON lines on standard input and output."""
