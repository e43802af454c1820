"""The methods: views in, parts of the loss out."""

from .gvsl import GVSL
from .mae import MAE
from .s2dc import S2DC

__all__ = ["GVSL", "MAE", "S2DC"]
