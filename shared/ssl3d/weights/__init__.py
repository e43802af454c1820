"""Weights with provenance: a passport beside each file, crash-safe saving, loading that refuses a mismatch."""

from .finding import resolve
from .loading import LoadReport, WeightsMismatch, load
from .passport import Passport, differences, passport_of
from .saving import save

__all__ = ["LoadReport", "Passport", "WeightsMismatch", "differences", "load", "passport_of", "resolve", "save"]
