"""Synthetic anatomy with known correspondences, written as a Decathlon data set."""

from .writer import KINDS, synthesize

__all__ = ["KINDS", "synthesize"]
