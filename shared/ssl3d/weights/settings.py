"""What weights fix of a run: the spacing, orientation and intensities that they were trained with."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from monai.transforms import Compose

from ..imaging.hounsfield import looks_hounsfield
from .facts import preprocessing
from .passport import Passport, differences, passport_of

logger = logging.getLogger(__name__)


def trained_spacing(weights: str | Path | None, pixdim: Sequence[float]) -> list[float]:
    """Return the voxel spacing in mm that weights were trained at.

    Args:
        weights: The file; its passport has the spacing.
        pixdim: Three numbers for weights without a passport.
    """
    passport = None if weights is None else passport_of(Path(weights).expanduser())
    return [float(mm) for mm in (pixdim if passport is None else passport.spacing)]


def warn_of_other_settings(weights: str | Path, transform: Compose | Sequence[Callable]) -> None:
    """Warn of each setting of a preprocessing that differs from the one that weights were trained with.

    Args:
        weights: The file; without a passport nothing is known, and nothing is said.
        transform: The preprocessing. Its crop is not compared.
    """
    passport = passport_of(weights)
    if passport is None:
        return
    facts = preprocessing(transform if isinstance(transform, Compose) else Compose(list(transform)))
    facts.pop("roi_size", None)
    for sentence in differences(passport, facts):
        logger.warning(f"{weights}: {sentence}")


def other_modality(passport: Passport, low: float, high: float) -> str | None:
    """Say why a scan is not of the kind that weights were trained on; None where nothing speaks against it.

    A window that begins below 0 is one of Hounsfield units, which CT has. Percentiles and z-scores are for units that
    differ from scan to scan, as those of MR do.

    Args:
        passport: Passport of the weights.
        low: Percentile 0.5 of the scan, before any scaling.
        high: Percentile 99.5 of the scan, before any scaling.
    """
    intensity = passport.intensity
    found = looks_hounsfield(low, high)
    values = f"its values reach from {low:.4g} to {high:.4g}"
    if intensity["kind"] != "window":
        text = f"it looks like a CT ({values}), but the weights were trained on scans without a fixed unit, such as MR"
        return text if found else None
    if intensity["lower"] < 0 and not found:
        window = f"{intensity['lower']:g} to {intensity['upper']:g} HU"
        return f"it has no Hounsfield units ({values}), but the weights were trained on CT in a window of {window}"
    return None
