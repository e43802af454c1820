"""Compare a run with the settings that weights were trained with: spacing, orientation and intensities."""

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
        weights: Weights file, whose passport holds the spacing.
        pixdim: Spacing (three numbers) for weights without a passport.
    """
    passport = None if weights is None else passport_of(Path(weights).expanduser())
    return [float(mm) for mm in (pixdim if passport is None else passport.spacing)]


def warn_of_other_settings(weights: str | Path, transform: Compose | Sequence[Callable]) -> None:
    """Warn of each setting of a preprocessing that differs from the one that weights were trained with.

    Args:
        weights: Weights file; without a passport there is no warning.
        transform: Preprocessing of the run, of which the crop is not compared.
    """
    passport = passport_of(weights)
    if passport is None:
        return
    facts = preprocessing(transform if isinstance(transform, Compose) else Compose(list(transform)))
    facts.pop("roi_size", None)
    for sentence in differences(passport, facts):
        logger.warning(f"{weights}: {sentence}")


def other_modality(passport: Passport, low: float, high: float) -> str | None:
    """Explain why a scan does not seem to be of the modality that weights were trained on; None if it may be.

    A window that begins below 0 is in Hounsfield units and means CT. Percentiles and z-scores are for units that differ
    from scan to scan, as in MR.

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
