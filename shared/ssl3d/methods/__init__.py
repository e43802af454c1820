"""The methods: views in, parts of the loss out."""

from .alice import Alice, AliceBranch
from .anatomical_embedding import AnatomicalEmbedding
from .base import Method
from .gvsl import GVSL
from .mae import MAE
from .s2dc import S2DC

__all__ = ["GVSL", "MAE", "S2DC", "Alice", "AliceBranch", "AnatomicalEmbedding", "Method"]
