"""Kinds of cohort folders, other than DICOM: which file belongs to which case and what it is."""
