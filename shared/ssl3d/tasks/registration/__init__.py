"""Registration of two scans: grids, scores, report and picture."""

from .grids import OnGridOfd, SaveRegistrationd, WarpOntoFixedd
from .picture import RegistrationPictures
from .report import RegistrationReport
from .scores import ScoreRegistrationd

__all__ = [
    "OnGridOfd",
    "RegistrationPictures",
    "RegistrationReport",
    "SaveRegistrationd",
    "ScoreRegistrationd",
    "WarpOntoFixedd",
]
