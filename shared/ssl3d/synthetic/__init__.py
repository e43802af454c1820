"""Synthetic anatomy with known correspondences, written as a Decathlon data set."""

from .kinds import KINDS
from .writer import synthesize

__all__ = ["KINDS", "synthesize"]
