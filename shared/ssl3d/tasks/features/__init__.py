"""Features of scans: saving, and retrieval across patients."""

from .retrieval import RetrievalReport
from .saving import Restored, SaveFeaturesd

__all__ = ["Restored", "RetrievalReport", "SaveFeaturesd"]
