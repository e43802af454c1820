"""Weights with provenance: a passport beside each file, crash-safe saving, checked loading."""

from .classes import Classes, trained_classes, training_classes
from .finding import resolve
from .loading import LoadReport, WeightsMismatch, load
from .passport import Passport, differences, passport_of
from .saving import save
from .settings import other_modality, trained_spacing, warn_of_other_settings

__all__ = [
    "Classes",
    "LoadReport",
    "Passport",
    "WeightsMismatch",
    "differences",
    "load",
    "other_modality",
    "passport_of",
    "resolve",
    "save",
    "trained_classes",
    "trained_spacing",
    "training_classes",
    "warn_of_other_settings",
]
