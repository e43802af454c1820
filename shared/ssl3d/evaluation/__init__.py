"""Pictures, intervals and scores: what a result is worth. The study, of the command line alone, is imported from its
module, so that packed bundles need not carry it."""

from .class_table import ClassTable
from .points import read_points, write_points
from .preview import Preview
from .registration import ScoreRegistrationd
from .registration_picture import RegistrationPictures
from .registration_report import RegistrationReport
from .statistics import Estimate, estimate
from .structure_picture import StructurePictures
from .token_report import TokenReport
from .views_preview import ViewsPreview

__all__ = [
    "ClassTable",
    "Estimate",
    "Preview",
    "RegistrationPictures",
    "RegistrationReport",
    "ScoreRegistrationd",
    "StructurePictures",
    "TokenReport",
    "ViewsPreview",
    "estimate",
    "read_points",
    "write_points",
]
