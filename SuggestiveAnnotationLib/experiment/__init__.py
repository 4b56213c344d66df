"""Comparing strategies honestly: a frozen plan, runs that share what they can, one record a run, statistics and a page."""
