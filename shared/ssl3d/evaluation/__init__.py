"""Pictures, intervals and studies: what a result is worth."""

from .preview import Preview
from .statistics import Estimate, estimate
from .study import study

__all__ = ["Estimate", "Preview", "estimate", "study"]
