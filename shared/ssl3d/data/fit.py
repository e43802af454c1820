"""Check scans against the preprocessing of a run: size after resampling, and intensities before scaling."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.hounsfield import HIGH, LOW, looks_hounsfield
from ..imaging.scan_facts import ScanFacts, image_files, kept_facts
from .checks import Fault
from .validation import DataError

logger = logging.getLogger(__name__)

LARGEST = 8e9  # bytes of one prepared channel in float32; no training works on more
LARGE, GROWTH = 2e9, 8  # bytes allowed if resampling enlarges a scan more than GROWTH times
FEWEST = 1 / 4  # smallest share of roi_size along any axis; a smaller scan is padding rather than anatomy
BYTES = 4  # of float32
AIR = -200  # HU: a CT of a body has voxels below, lung or the air around it
HAIR = 0.05  # share of a window's width; a narrower range of intensities is nearly one value after scaling
NARROW = 0.05  # share of the whole range; percentiles closer than this clip bright structures
EQUAL = 1e-6  # share of the whole range, as in ``transforms.ScalePercentiles``
SHOWN = 20  # scans named in a warning


def fit(
    items: Sequence[Mapping[str, Any]],
    preprocessing: Mapping[str, Any],
    *,
    training: bool = True,
    skip_bad: bool = False,
    cache_dir: str | Path | None = None,
) -> tuple[list[Mapping[str, Any]], list[Fault]]:
    """Check items against the preprocessing of a run, using the facts kept by their validation. No file is read.

    Scans whose intensities do not suit the scaling are logged by name. Synthetic items are not checked.

    Args:
        items: Datalist items or pairs.
        preprocessing: ``spacing`` (mm), ``orientation``, ``intensity`` and ``roi_size`` (voxels), each optional, as
            ``weights.facts.preprocessing`` reads them off the transforms; ``compares_units`` if loading warns of scans
            that are not in the unit of the weights.
        training: Whether the run trains. If so, a scan that is mostly padding is a fault, otherwise a warning.
        skip_bad: Log bad items and leave them out instead of raising.
        cache_dir: Folder with the results of validation (see ``ssl3d.data.cache_dir``).

    Returns:
        The good items in their order, and the faults of the others.

    Raises:
        DataError: scans that would be too large or too small after resampling, unless ``skip_bad``; and always when no
            item is good.
    """
    good: list[Mapping[str, Any]] = []
    faults: dict[Fault, None] = {}  # without duplicates, because a scan may be in many pairs
    bad: list[Mapping[str, Any]] = []
    for item in items:
        found = [] if item.get("synthetic") else check_fit(item, preprocessing, training, cache_dir)
        faults |= dict.fromkeys(found)
        (bad if any(fault.fatal for fault in found) else good).append(item)
    fatal = [fault for fault in faults if fault.fatal]
    if bad and (not skip_bad or not good):
        raise DataError(fatal, len(items))
    for fault in fatal:
        logger.warning("Skipped: %s", fault)
    _warn([fault for fault in faults if not fault.fatal])
    return good, fatal


def check_fit(
    item: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    training: bool = True,
    cache_dir: str | Path | None = None,
) -> list[Fault]:
    """Find the faults of the images of one item, see :func:`fit`. Files that were not validated have none."""
    faults = []
    for file in image_files(item):
        scan = kept_facts(file, cache_dir)
        if scan is not None:
            fault = size_fault(file, scan, preprocessing, training)
            intensity = preprocessing.get("intensity") or {}
            if preprocessing.get("compares_units") and _wrong_unit(scan, intensity):
                intensity = {}  # loading already warns of the unit
            faults += [fault] if fault else intensity_faults(file, scan, intensity)
    return faults


def prepared_size(
    scan: ScanFacts, preprocessing: Mapping[str, Any], pixdim: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Return the size (3,) in voxels after resampling to ``pixdim``; a spacing of 0 or less is kept, as in MONAI."""
    size, spacing = scan.turned(preprocessing.get("orientation"))
    wanted = np.array(pixdim, dtype=float)
    wanted = np.where(wanted > 0, wanted, spacing)
    return np.rint((size - 1) * spacing / wanted) + 1


def size_fault(file: str, scan: ScanFacts, preprocessing: Mapping[str, Any], training: bool = True) -> Fault | None:
    """Return the fault of a scan that is too large or too small at the run's spacing; None if its size fits."""
    size, spacing = scan.turned(preprocessing.get("orientation"))
    pixdim = preprocessing.get("spacing") or spacing.tolist()
    roi_size = preprocessing.get("roi_size")
    prepared = prepared_size(scan, preprocessing, pixdim)
    problem = _size_problem(prepared, size, roi_size)
    if problem is None:
        return None
    text = f"{_x(size)} voxels of {_numbers(spacing)} mm become {_x(prepared)} at pixdim {_numbers(pixdim)}: {problem}"
    remedy = "Correct the voxel size in the header (mm)"
    fatal = training or _size_problem(prepared, size, None) is not None
    fitting = fitting_pixdim(scan, preprocessing)
    if fitting is None:
        return Fault(file, text, f"{remedy}, leave the scan out, or set a smaller --roi_size", fatal)
    return Fault(file, text, f'{remedy}, or set --pixdim "{_numbers(fitting)}"', fatal)


def fitting_pixdim(scan: ScanFacts, preprocessing: Mapping[str, Any]) -> list[float] | None:
    """Return a spacing near the scan's own at which the prepared size fits; None if there is no such spacing."""
    size, spacing = scan.turned(preprocessing.get("orientation"))
    own = _size_problem(size, size, None)
    larger = 1.0 if own is None else 1.05 * (BYTES * float(np.prod(size, dtype=float)) / LARGE) ** (1 / 3)
    pixdim = [float(f"{mm:.2g}") for mm in spacing * larger]
    prepared = prepared_size(scan, preprocessing, pixdim)
    return None if _size_problem(prepared, size, preprocessing.get("roi_size")) else pixdim


def _size_problem(prepared: np.ndarray, stored: np.ndarray, roi_size: Sequence[int] | None) -> str | None:
    needed = BYTES * float(np.prod(prepared))
    if needed > LARGEST or (needed > LARGE and np.prod(prepared) > GROWTH * np.prod(stored, dtype=float)):
        return f"{needed / 1e9:,.0f} GB, too large to prepare"
    if roi_size is not None and (prepared < FEWEST * np.array(roi_size)).any():
        return f"less than a quarter of roi_size {_numbers(roi_size)}, the rest would be padding"
    return None


def intensity_faults(file: str, scan: ScanFacts, intensity: Mapping[str, Any]) -> list[Fault]:
    """Return warnings if a scan's intensities do not suit a scaling by ``kind`` ``window`` or ``percentiles``."""
    kind = intensity.get("kind")
    if kind == "window":
        found = _outside_window(scan, float(intensity["lower"]), float(intensity["upper"]))
    elif kind == "percentiles":
        found = narrow_percentiles(scan, float(intensity["lower"]), float(intensity["upper"]))
    else:
        found = None
    return [] if found is None else [Fault(file, *found, fatal=False)]


def _wrong_unit(scan: ScanFacts, intensity: Mapping[str, Any]) -> bool:
    """Return whether a window is in Hounsfield units and the scan is not, by the same rule as in loading."""
    window = intensity.get("kind") == "window" and float(intensity["lower"]) < 0
    return window and not looks_hounsfield(scan.at(LOW), scan.at(HIGH))


def _outside_window(scan: ScanFacts, lower: float, upper: float) -> tuple[str, str] | None:
    low, high = scan.values[0], scan.values[-1]
    window = f"the intensity window {lower:g} to {upper:g}"
    remedy = (
        "Use scans in Hounsfield units: is this a CT without its intercept (-1024), a rescaled CT, or an MR? "
        "A CT that was clipped or cropped to soft tissue is fine"
    )
    inner = scan.at(1), scan.at(99)
    if inner[1] <= lower or inner[0] >= upper:
        return f"at least 98 % of the voxels lie outside {window} (values {low:g} to {high:g})", remedy
    if high - low < HAIR * (upper - lower):
        return f"values {low:g} to {high:g} fill less than {HAIR:.0%} of {window}", remedy
    if lower < 0 and low >= AIR:
        return f"no HU? No value is below {AIR} (values {low:g} to {high:g}), but {window} is in HU", remedy
    return None


def narrow_percentiles(scan: ScanFacts, lower: float = 1, upper: float = 99) -> tuple[str, str] | None:
    """Return problem and remedy of a scan whose percentiles are too close; None if they are fine."""
    low, high = scan.values[0], scan.values[-1]
    a, b = scan.at(lower), scan.at(upper)
    if b - a <= EQUAL * (high - low):
        return (
            f"percentiles {lower:g} and {upper:g} are both {a:g} (values {low:g} to {high:g}): the scan is scaled by "
            "the percentiles of its other voxels",
            "Crop it to the anatomy, or leave it out if it is not a scan",
        )
    if b - a < NARROW * (high - low):
        return (
            f"percentiles {lower:g} and {upper:g} are {a:g} and {b:g}, but values range from {low:g} to {high:g}: "
            "brighter and darker values are clipped",
            "Crop the scan to the anatomy, or choose wider percentiles (lower, upper of ScalePercentilesd)",
        )
    return None


def _warn(faults: Sequence[Fault]) -> None:
    """Log warnings, at most ``SHOWN`` per remedy, because a whole data set may share one."""
    kinds: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        kinds[fault.remedy].append(fault)
    for remedy, members in kinds.items():
        for fault in members[:SHOWN]:
            logger.warning("%s", fault)
        if len(members) > SHOWN:
            logger.warning("... and %d more scans of this kind. %s.", len(members) - SHOWN, remedy)


def _x(size: np.ndarray) -> str:
    return " x ".join(f"{side:.0f}" for side in size)


def _numbers(values: Sequence[float] | np.ndarray) -> str:
    return f"[{', '.join(f'{value:g}' for value in values)}]"
