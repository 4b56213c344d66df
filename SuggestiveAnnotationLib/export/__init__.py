"""Annotations out of a study as labelmaps on each case's own voxel grid, and back from labelmaps drawn elsewhere.

What nobody accepted is never passed off as annotated: it carries the schema's ignore value, and volumes that a model completed are files
of their own. Nothing here needs a study or torch; plain data goes in.
"""
