"""Self-supervised pre-training for 3D medical images, as MONAI bundles that simply run."""

from .version import __version__

__all__ = ["__version__"]
