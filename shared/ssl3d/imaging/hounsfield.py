"""Recognise a CT in Hounsfield units by its intensities."""

FAT, MUSCLE = -100, 40  # HU; a CT, even a crop, has voxels below the first and above the second
LOW, HIGH = 0.5, 99.5  # percentiles to compare


def looks_hounsfield(low: float, high: float) -> bool:
    """Tell whether intensities look like those of a CT.

    Args:
        low: Percentile ``LOW`` of the scan.
        high: Percentile ``HIGH`` of the scan.
    """
    return low < FAT and high > MUSCLE
