"""The methods: views in, parts of the loss out."""

from .gvsl import GVSL
from .mae import MAE

__all__ = ["GVSL", "MAE"]
