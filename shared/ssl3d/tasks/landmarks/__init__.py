"""Landmarks: points of a template found in other scans."""

from ..point_files import read_points, write_points
from .found_points import FindPointsd, FoundPoints
from .picture import MatchPictures
from .report import LandmarkReport, ScoreLandmarksd, case_templates
from .templates import Template, given_template

__all__ = [
    "FindPointsd",
    "FoundPoints",
    "LandmarkReport",
    "MatchPictures",
    "ScoreLandmarksd",
    "Template",
    "case_templates",
    "given_template",
    "read_points",
    "write_points",
]
