"""Whether a scan is a CT in Hounsfield units, by its intensities."""

FAT, MUSCLE = -100, 40  # HU: a CT, even a crop of one, has voxels below the one and above the other
LOW, HIGH = 0.5, 99.5  # the percentiles that are looked at


def looks_hounsfield(low: float, high: float) -> bool:
    """Tell whether intensities look like those of a CT.

    Args:
        low: Percentile ``LOW`` of the scan.
        high: Percentile ``HIGH`` of the scan.
    """
    return low < FAT and high > MUSCLE
