"""Find corresponding places of two scans: points and pair matchers."""

from .pair_matchers import EmbeddingMatcher, PointMatcher, RegistrationMatcher
from .points import EmbeddedScan, Matches, embed_scan, match_points

__all__ = [
    "EmbeddedScan",
    "EmbeddingMatcher",
    "Matches",
    "PointMatcher",
    "RegistrationMatcher",
    "embed_scan",
    "match_points",
]
