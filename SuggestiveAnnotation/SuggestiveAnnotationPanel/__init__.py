"""The panel of the module in 3D Slicer: one file per section, one per view helper. Imports neither torch nor a database."""
