"""Register two volumes by the features of one backbone: the Z-matching head of GVSL."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..geometry import affine_flow, affine_matrix, warp_affine
from .base import Backbone, Features, check_contract
from .convolution import CHANNELS_PER_GROUP, Conv3d, conv_block, exporting


class Alignment(NamedTuple):
    """Transformation that aligns a moving volume to a fixed one, on the fixed volume's grid.

    Attributes:
        matrix: (B, 3, 4), the affine part, see ``ssl3d.geometry.warp_affine``.
        residual: (B, 3, D, H, W), the deformation after the affine part, in voxels.
        flow: (B, 3, D, H, W), both parts in one field for ``ssl3d.geometry.warp_flow``, in voxels.
    """

    matrix: Tensor
    residual: Tensor
    flow: Tensor


class AffineHead(nn.Module):
    """Affine matrix from the bottlenecks of two volumes; differentiable from end to end.

    A convolution block on both, the mean over space, and one linear layer each for rotation (bounded by ±π/9), scale (1
    ± 0.25), shear (± π/18) and translation (voxels, not bounded).

    Args:
        in_channels: Channels of one bottleneck.
        hidden_channels: Of the block, a multiple of 8.

    Source: GVSL (He et al., CVPR 2023, https://arxiv.org/abs/2303.00874), section 3.2 and appendix B.
    """

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.trunk = conv_block(2 * in_channels, hidden_channels)
        self.rotation = nn.Linear(hidden_channels, 3)
        self.scale = nn.Linear(hidden_channels, 3)
        self.translation = nn.Linear(hidden_channels, 3)
        self.shear = nn.Linear(hidden_channels, 6)
        for layer in (self.rotation, self.scale, self.translation, self.shear):
            start_small(layer)

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return matrices (B, 3, 4), output to input, float64, for two bottlenecks (B, in_channels, d, h, w)."""
        pooled = self.trunk(torch.cat([moving, fixed], dim=1)).mean(dim=(2, 3, 4))  # (B, hidden_channels)
        # mixed precision does not change float64, but ONNX Runtime has no float64 cosine
        precise = torch.float32 if exporting() else torch.float64
        return affine_matrix(
            rotation=self.rotation(pooled).to(precise).clamp(-1, 1) * (math.pi / 9),
            scale=1 + 0.25 * self.scale(pooled).to(precise).clamp(-1, 1),
            translation=self.translation(pooled).to(precise),
            shear=self.shear(pooled).to(precise).clamp(-1, 1) * (math.pi / 18),
        )


class FlowHead(nn.Module):
    """Displacement field from the fine features of two volumes that are already aligned affinely.

    Args:
        in_channels: Channels of the features of one volume.
        hidden_channels: Of the block, a multiple of 8.

    Source: GVSL, section 3.2 (the deformable head of Z-matching).
    """

    def __init__(self, in_channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.trunk = conv_block(2 * in_channels, hidden_channels)
        self.flow = Conv3d(hidden_channels, 3)
        start_small(self.flow)

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Return the displacement (B, 3, d, h, w), in cells, for features (B, in_channels, d, h, w)."""
        return self.flow(self.trunk(torch.cat([moving, fixed], dim=1)))


class ZMatching(nn.Module):
    """Head that aligns two volumes: an affine map from the bottlenecks, then a field from fine features.

    The field is computed at the resolution of the backbone's first level, and interpolated to full resolution if that
    level has stride 2.

    Args:
        backbone: Backbone of both volumes, whose channels and strides are read; see ``Backbone``.
        affine_channels, flow_channels: Widths of the two heads, multiples of 8.

    Source: GVSL, section 3.2, with one convention of axes and identity at zero. (The release samples the image twice,
    and its affine head never receives a gradient.)
    """

    def __init__(self, backbone: Backbone, affine_channels: int = 96, flow_channels: int = 16) -> None:
        super().__init__()
        check_contract(backbone)
        self.stride, strides = backbone.encoder_strides[0], backbone.decoder_strides
        if self.stride not in strides:
            raise ValueError(
                f"Registration needs a decoder map at the stride of the first encoder map, {self.stride}. The decoder "
                f"strides of the backbone are {strides}."
            )
        self.level = strides.index(self.stride)
        self.affine = AffineHead(backbone.encoder_channels[-1], affine_channels)
        self.flow = FlowHead(backbone.decoder_channels[self.level], flow_channels)

    def forward(self, moving: Features, fixed: Features) -> Alignment:
        """Align a moving to a fixed volume of equal shape, given the backbone's features of both."""
        matrix = self.affine(moving.encoder[-1], fixed.encoder[-1])  # (B, 3, 4), translation in voxels of the image
        cells = torch.cat([matrix[:, :, :3], matrix[:, :, 3:] / self.stride], dim=2)
        fine_moving, fine_fixed = moving.decoder[self.level], fixed.decoder[self.level]
        aligned = warp_affine(fine_moving, cells, exact=False)
        residual = self.flow(aligned.contiguous(memory_format=torch.channels_last_3d), fine_fixed)
        if residual.dtype != torch.float64:
            residual = residual.float()  # positions in half precision would be wrong by voxels
        depth, height, width = fixed.decoder[-1].shape[2:]
        if self.stride > 1:
            scale = float(self.stride)
            residual = F.interpolate(residual * scale, scale_factor=scale, mode="trilinear", align_corners=False)
            # the coarse maps are on the padded grid, the finest is cropped
            padded_d, padded_h, padded_w = residual.shape[2:]
            d, h, w = (padded_d - depth) // 2, (padded_h - height) // 2, (padded_w - width) // 2
            residual = residual[:, :, d : d + depth, h : h + height, w : w + width]
        flow = affine_flow(matrix, (depth, height, width), residual)
        return Alignment(matrix.to(residual), residual, flow.to(residual))


class RegistrationNet(nn.Module):
    """Network that registers a moving to a fixed volume: one backbone for both, and the Z-matching head.

    Args:
        backbone: Backbone for one input channel; see ``Backbone``.
        affine_channels, flow_channels: See ``ZMatching``.

    Raises:
        ValueError: a width that is no multiple of 8; a backbone without a decoder map at the stride of its first
            encoder map; an input without exactly two channels.

    Examples:
        >>> RegistrationNet(UNet3d())(torch.zeros(1, 2, 32, 32, 32)).shape
        torch.Size([1, 3, 32, 32, 32])
    """

    def __init__(self, backbone: Backbone, affine_channels: int = 96, flow_channels: int = 16) -> None:
        super().__init__()
        for name, width in (("affine_channels", affine_channels), ("flow_channels", flow_channels)):
            if width < 1 or width % CHANNELS_PER_GROUP:
                raise ValueError(f"{name} must be a multiple of {CHANNELS_PER_GROUP}, got {width}.")
        self.backbone = backbone
        self.head = ZMatching(backbone, affine_channels, flow_channels)
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> Tensor:
        """Return the displacement field (B, 3, D, H, W) for ``warp_flow`` in voxels, affine part included.

        Args:
            image: (B, 2, D, H, W), channel 0 the moving, channel 1 the fixed volume, on one grid.
        """
        return self.decompose(image).flow

    def decompose(self, image: Tensor) -> Alignment:
        """Return the whole alignment: affine matrix, residual field, and both as one field."""
        if image.dim() != 5 or image.shape[1] != 2:
            raise ValueError(f"RegistrationNet takes (B, 2, D, H, W): moving and fixed, got {list(image.shape)}.")
        return self.head(self.backbone(image[:, :1]), self.backbone(image[:, 1:]))


def start_small(layer: nn.Linear | nn.Conv3d) -> None:
    """Initialise a layer close to zero, so that registration starts near the identity, with gradients everywhere."""
    nn.init.normal_(layer.weight, std=1e-3)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
