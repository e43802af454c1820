"""Backbones and the networks built on them."""

from .features import Features
from .tasks import SegmentationNet
from .unet3d import UNet3d

__all__ = ["Features", "SegmentationNet", "UNet3d"]
