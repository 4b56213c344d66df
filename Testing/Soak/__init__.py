"""A scripted session of the panel that is killed at random moments, and a count of what was lost: `make soak`."""
