"""Read DICOM series as volumes."""
