"""Structure maps of tokens: computation, report and picture."""

from .picture import StructurePictures
from .report import TokenReport
from .structure_map import StructureMapd, TokenGridd

__all__ = ["StructureMapd", "StructurePictures", "TokenGridd", "TokenReport"]
