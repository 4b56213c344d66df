"""Suggestive annotation of medical volumes: which slices to annotate next, and what that costs.

The package imports nothing heavy: torch and monai are imported by `models`, `training` and the strategies that need them,
SQLAlchemy by `study`.
"""

__version__ = "0.1.0"
