"""Backbones and the networks built on them."""

from .anatomical_embedding import AnatomicalEmbeddingNet, Embeddings, on_fine_grid
from .base import Backbone, Features
from .cross_attention import CrossAttentionAlignment
from .dense_features import DenseFeatureNet
from .projection import ProjectionHead, Projections
from .registration import Alignment, RegistrationNet
from .residual_encoder import ResidualEncoderUNet3d
from .restoration import RestorationHead
from .swin_unetr import SwinUNETRBackbone
from .tasks import ReconstructionNet, SegmentationNet
from .tokens import TokenHead, TokenNet
from .unet3d import UNet3d

__all__ = [
    "Alignment",
    "AnatomicalEmbeddingNet",
    "Backbone",
    "CrossAttentionAlignment",
    "DenseFeatureNet",
    "Embeddings",
    "Features",
    "ProjectionHead",
    "Projections",
    "ReconstructionNet",
    "RegistrationNet",
    "ResidualEncoderUNet3d",
    "RestorationHead",
    "SegmentationNet",
    "SwinUNETRBackbone",
    "TokenHead",
    "TokenNet",
    "UNet3d",
    "on_fine_grid",
]
