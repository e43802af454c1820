"""Read orientation, spacing, intensity scaling and crop size off the transforms of a preprocessing."""

from collections.abc import Callable
from typing import Any

from monai.transforms import (
    Compose,
    NormalizeIntensityd,
    Orientationd,
    RandCropByLabelClassesd,
    RandSpatialCropd,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentilesd,
    Spacingd,
)


def preprocessing(transform: Compose) -> dict[str, Any]:
    """Return orientation, spacing, intensity and crop in the form of a passport, as far as the transforms set them.

    Args:
        transform: Dictionary transforms, of which those of the image are read.

    Returns:
        Any of ``orientation`` (letters), ``spacing`` (three numbers, mm), ``intensity`` (dictionary with ``kind``) and
        ``roi_size`` (three numbers, voxels).
    """
    facts: dict[str, Any] = {}
    for step in transform.flatten().transforms:
        facts |= _facts(step)
    return facts


def _facts(step: Callable) -> dict[str, Any]:
    if isinstance(step, Orientationd):
        return {"orientation": "".join(step.ornt_transform.axcodes or "")}
    if isinstance(step, Spacingd):
        return {"spacing": [float(mm) for mm in step.spacing_transform.pixdim]}
    if isinstance(step, ScaleIntensityRangePercentilesd):
        scaler = step.scaler
        return {"intensity": {"kind": "percentiles", "lower": scaler.lower, "upper": scaler.upper}}
    if isinstance(step, ScaleIntensityRanged):
        return {"intensity": {"kind": "window", "lower": step.scaler.a_min, "upper": step.scaler.a_max}}
    if isinstance(step, RandSpatialCropd):
        return {"roi_size": [int(side) for side in step.cropper.roi_size]}  # type: ignore[attr-defined]
    if isinstance(step, RandCropByLabelClassesd):
        return {"roi_size": [int(side) for side in step.cropper.spatial_size]}  # type: ignore[union-attr]
    if isinstance(step, NormalizeIntensityd):
        return {"intensity": {"kind": "z-score"}}
    return {}
