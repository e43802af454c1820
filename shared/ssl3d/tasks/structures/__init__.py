"""Structure maps from tokens."""

from .picture import StructurePictures
from .report import TokenReport
from .structure_map import StructureMapd, TokenGridd

__all__ = ["StructureMapd", "StructurePictures", "TokenGridd", "TokenReport"]
