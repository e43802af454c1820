"""Applications, one folder each, with their metrics, reports and pictures; drawing is shared."""

from .statistics import Estimate, estimate
from .views_preview import ViewsPreview

__all__ = ["Estimate", "ViewsPreview", "estimate"]
