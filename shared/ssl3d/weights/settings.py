"""Settings that weights bring with them: the spacing of their passport, and the kind of scans that they expect."""

import logging
from collections.abc import Sequence
from pathlib import Path

from .passport import Passport, passport_of

logger = logging.getLogger(__name__)


def trained_spacing(weights: str | Path | None, pixdim: Sequence[float]) -> list[float]:
    """Return the voxel spacing in mm that weights were trained at.

    Args:
        weights: the file; its passport has the spacing.
        pixdim: three numbers for weights without a passport.
    """
    passport = None if weights is None else passport_of(Path(weights).expanduser())
    return [float(mm) for mm in (pixdim if passport is None else passport.spacing)]


def expects_hounsfield(passport: Passport) -> bool | None:
    """Tell whether weights expect CT in Hounsfield units; None where their passport does not say.

    A window that begins below 0 is one of Hounsfield units. Percentiles and z-scores are for units that differ from
    scan to scan, as those of MR do.
    """
    if passport.intensity["kind"] == "window":
        return True if passport.intensity["lower"] < 0 else None
    return False
