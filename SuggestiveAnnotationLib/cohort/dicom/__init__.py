"""Images and segmentations from DICOM files. pydicom is imported when the first file is read, not before."""
