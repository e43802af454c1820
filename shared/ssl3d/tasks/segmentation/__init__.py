"""Segmentation: scores, tables and pictures."""

from .class_table import ClassTable
from .preview import Preview
from .score_files import ScoreFiles
from .scored_classes import ScoredClassesd
from .surface_distance import SurfaceDistance95

__all__ = ["ClassTable", "Preview", "ScoreFiles", "ScoredClassesd", "SurfaceDistance95"]
