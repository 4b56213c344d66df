"""Training and inference of the networks."""
