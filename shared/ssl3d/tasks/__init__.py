"""Applications, one folder each, with metrics, reports and pictures; they share the code for drawing."""

from .statistics import Estimate, estimate
from .views_preview import ViewsPreview

__all__ = ["Estimate", "ViewsPreview", "estimate"]
