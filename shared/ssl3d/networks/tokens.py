"""Compute tokens and an embedding of a volume from one backbone: the network of S2DC."""

from typing import List

import torch.nn.functional as F
from torch import Tensor, nn

from .base import Backbone, check_contract


class TokenHead(nn.Sequential):
    """Three linear layers, the first two with layer normalisation and ReLU: (..., in) to (..., out) channels.

    Layer normalisation replaces the batch normalisation of the release. A token then does not depend on the rest of the
    batch, training equals inference, and processes need not communicate.

    Args:
        in_channels, hidden_channels, out_channels: Channels of input, hidden layers and output, at least 1.

    Raises:
        ValueError: a number of channels below 1.

    Source: S2DC (arXiv:2507.02581), the heads of its released code (768, 2048, 2048, 512 channels).

    Example:
        >>> TokenHead(96, 256, 128)(torch.zeros(2, 10, 96)).shape
        torch.Size([2, 10, 128])
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int) -> None:
        if min(in_channels, hidden_channels, out_channels) < 1:
            raise ValueError(
                f"channels must be at least 1, got {in_channels}, hidden {hidden_channels}, out {out_channels}."
            )
        layers: list[nn.Module] = []
        for narrow in (in_channels, hidden_channels):
            layers += [nn.Linear(narrow, hidden_channels), nn.LayerNorm(hidden_channels), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.Linear(hidden_channels, out_channels))


class TokenNet(nn.Module):
    """Unit-norm tokens of a chosen stride, and one unit-norm embedding, of a volume.

    The tokens come from the backbone's encoder map of that stride, the embedding from the mean of its coarsest map,
    each through a head of its own. The decoder is not used, and its weights are frozen.

    Args:
        backbone: See ``Backbone``.
        stride: Side of a token in voxels, one of the backbone's ``encoder_strides``.
        hidden_channels, out_channels: Channels of the heads, see ``TokenHead``.

    Raises:
        ValueError: a stride that the backbone does not have.

    Source: S2DC (arXiv:2507.02581), with unit-norm embeddings.

    Example:
        >>> TokenNet(UNet3d(), stride=8)(torch.zeros(1, 1, 32, 32, 32)).shape
        torch.Size([1, 128, 4, 4, 4])
    """

    def __init__(self, backbone: Backbone, stride: int, hidden_channels: int = 256, out_channels: int = 128) -> None:
        super().__init__()
        check_contract(backbone)
        strides, widths = backbone.encoder_strides, backbone.encoder_channels
        if stride not in strides:
            raise ValueError(
                f"stride must be one of the backbone's encoder strides {strides}, got {stride}. In the configs of S2DC "
                "the key is cell: set it with --cell, in training, evaluation and inference alike."
            )
        backbone.freeze_decoder()
        self.backbone = backbone
        self.stride = stride
        self.out_channels = out_channels
        self.level = strides.index(stride)
        self.token_head = TokenHead(widths[self.level], hidden_channels, out_channels)
        self.global_head = TokenHead(widths[-1], hidden_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return unit-norm tokens (B, out_channels, d, h, w) of ``x`` (B, C, D, H, W), on the padded grid."""
        return self.tokens(self.encode(x))

    def encode(self, x: Tensor) -> List[Tensor]:
        """Return the backbone's encoder maps."""
        return self.backbone.encode(x)

    def tokens(self, maps: List[Tensor]) -> Tensor:
        """Return unit-norm tokens (B, out_channels, d, h, w), float32 at least, of encoder maps."""
        return unit_norm(self.token_head(maps[self.level].movedim(1, -1))).movedim(-1, 1)

    def embedding(self, maps: List[Tensor]) -> Tensor:
        """Return unit-norm embeddings (B, out_channels), float32 at least, of encoder maps."""
        return unit_norm(self.global_head(maps[-1].mean(dim=(2, 3, 4))))


def unit_norm(x: Tensor, dim: int = -1) -> Tensor:
    """Divide ``x`` by its length along ``dim``, in float32 at least; zeros stay zeros."""
    # In half precision the bound on the length would round to 0, and zeros would become NaN.
    return F.normalize(x if x.element_size() > 4 else x.float(), dim=dim)
