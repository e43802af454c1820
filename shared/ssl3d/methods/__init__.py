"""The methods: views in, parts of the loss out."""

from .alice import Alice, AliceBranch
from .anatomical_embedding import AnatomicalEmbedding
from .base import Method
from .gvsl import GVSL
from .mae import MAE
from .matching import EmbeddedScan, Matches, embed_scan, match_points
from .pair_matchers import EmbeddingMatcher, PointMatcher, RegistrationMatcher
from .s2dc import S2DC

__all__ = [
    "GVSL",
    "MAE",
    "S2DC",
    "Alice",
    "AliceBranch",
    "AnatomicalEmbedding",
    "EmbeddedScan",
    "EmbeddingMatcher",
    "Matches",
    "Method",
    "PointMatcher",
    "RegistrationMatcher",
    "embed_scan",
    "match_points",
]
