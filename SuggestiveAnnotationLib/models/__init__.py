"""Networks, their grid, and checkpoints."""
