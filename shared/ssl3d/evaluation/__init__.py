"""Pictures, intervals and scores: what a result is worth. The study, of the command line alone, is imported from its
module, so that packed bundles need not carry it."""

from .class_table import ClassTable
from .dense_features import Restored, SaveFeaturesd
from .found_points import FindPointsd, FoundPoints
from .landmark_report import LandmarkReport, ScoreLandmarksd, case_templates
from .match_picture import MatchPictures
from .points import read_points, write_points
from .preview import Preview
from .registration import ScoreRegistrationd
from .registration_picture import RegistrationPictures
from .registration_report import RegistrationReport
from .retrieval import RetrievalReport
from .score_files import ScoreFiles
from .statistics import Estimate, estimate
from .structure_picture import StructurePictures
from .surface_distance import SurfaceDistance95
from .templates import Template, given_template
from .token_report import TokenReport
from .views_preview import ViewsPreview

__all__ = [
    "ClassTable",
    "Estimate",
    "FindPointsd",
    "FoundPoints",
    "LandmarkReport",
    "MatchPictures",
    "Preview",
    "RegistrationPictures",
    "RegistrationReport",
    "Restored",
    "RetrievalReport",
    "SaveFeaturesd",
    "ScoreFiles",
    "ScoreLandmarksd",
    "ScoreRegistrationd",
    "StructurePictures",
    "SurfaceDistance95",
    "Template",
    "TokenReport",
    "ViewsPreview",
    "case_templates",
    "estimate",
    "given_template",
    "read_points",
    "write_points",
]
