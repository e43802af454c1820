"""Backbones and the networks built on them."""

from .features import Features
from .registration import Alignment, RegistrationNet
from .restoration import RestorationHead
from .tasks import ReconstructionNet, SegmentationNet
from .tokens import TokenHead, TokenNet
from .unet3d import UNet3d

__all__ = [
    "Alignment",
    "Features",
    "ReconstructionNet",
    "RegistrationNet",
    "RestorationHead",
    "SegmentationNet",
    "TokenHead",
    "TokenNet",
    "UNet3d",
]
