"""Pictures, intervals and studies: what a result is worth."""

from .class_table import ClassTable
from .points import read_points, write_points
from .preview import Preview
from .registration import ScoreRegistrationd
from .registration_picture import RegistrationPictures
from .registration_report import RegistrationReport
from .statistics import Estimate, estimate
from .study import study
from .views_preview import ViewsPreview

__all__ = [
    "ClassTable",
    "Estimate",
    "Preview",
    "RegistrationPictures",
    "RegistrationReport",
    "ScoreRegistrationd",
    "ViewsPreview",
    "estimate",
    "read_points",
    "study",
    "write_points",
]
