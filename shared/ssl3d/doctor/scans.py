"""Find readable scans that mislead a training: wrong voxel sizes, rescaled intensities, CT without its intercept."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.checks import Fault
from ..data.fit import narrow_percentiles, size_fault
from .facts import Case, ImageFacts
from .summary import is_ct, suggested_scale

COARSE = 10  # mm; no scanner has voxels whose shortest side is longer
SMALL = 10  # mm; no scanned part of the body is shorter along all axes
INTERCEPT = 1024  # subtracted from the stored values of a CT


def find_odd_scans(cases: Sequence[Case]) -> None:
    """Warn of scans whose voxel sizes or intensities are unlikely to be right, by name."""
    for case in cases:
        for image in case.images:
            if image.like_labels:
                problem = f"looks like a label map, not a scan: it holds {image.like_labels} different whole numbers"
                remedy = "Move it to the folder of labels, or remove it; --write FILE lists the other cases"
                case.faults.append(Fault(image.file, problem, remedy))
                continue
            for problem, remedy in filter(None, (_voxel_size(image), _intensities(image, is_ct(case)))):
                case.faults.append(Fault(image.file, problem, remedy, fatal=False))


def find_misfits(cases: Sequence[Case], images: Mapping[str, Any]) -> bool:
    """Name scans that a run with the suggested pixdim and roi_size would refuse for their size.

    A scan that becomes too large gets a fault. A scan that is too small for the roi_size gets a warning, because the
    cause is the settings and not the file.

    Args:
        cases: All cases of a data set.
        images: ``images`` of its summary; empty if no image can be read.

    Returns:
        Whether any scan is too small for the suggested roi_size.
    """
    small = False
    if images:
        scale = suggested_scale(images)
        preprocessing = {"orientation": "RAS", "spacing": scale["pixdim"], "roi_size": scale["roi_size"]}
        for case in cases:
            for image in case.images:
                fault = size_fault(image.file, image.scan, preprocessing, training=False)
                if fault is not None and not fault.fatal:
                    small = True
                    problem = f"with the settings suggested below, {fault.problem}"
                    remedy = (
                        "This concerns the settings, not the file: set a smaller --roi_size, or leave such scans out "
                        "of a run with --skip_bad true"
                    )
                    fault = fault._replace(problem=problem, remedy=remedy)
                case.faults += [fault] if fault else []
    return small


def _voxel_size(image: ImageFacts) -> tuple[str, str] | None:
    extent = [size * mm for size, mm in zip(image.size, image.spacing, strict=True)]
    if min(image.spacing) <= COARSE and max(extent) >= SMALL:
        return None
    sizes, sides = (" x ".join(f"{value:.4g}" for value in values) for values in (image.spacing, extent))
    problem = f"voxels of {sizes} mm, a volume of {sides} mm: micrometres or metres written as millimetres?"
    return problem, "Write the true voxel size in mm into the header, or give --pixdim in the same unit"


def _intensities(image: ImageFacts, hounsfield: bool) -> tuple[str, str] | None:
    if hounsfield:
        return None
    low, high = image.extremes
    if (low >= -1 and high <= 1) or (low, high) == (0, 255):
        problem = "intensities were rescaled (to 0..1, -1..1 or 0..255): no Hounsfield units"
        return problem, "Use the original scan where a bundle scales by a window in HU; fine for scaling by percentiles"
    shifted = [value - INTERCEPT for value in image.percentiles]
    if low >= 0 and shifted[0] < -900 and -200 < shifted[2] < 200 and shifted[-1] < 3072 and high <= 4 * INTERCEPT:
        problem = "no HU? Intensities like a CT without its intercept (-1024)"
        return problem, "Subtract 1024 if it is a CT, since bundles scale CT by a window in HU; fine for MR"
    return narrow_percentiles(image.scan)
