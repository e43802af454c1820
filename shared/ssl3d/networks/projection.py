"""Project features to the outputs that self-distillation compares."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Projections(NamedTuple):
    """Outputs of a ``ProjectionHead``.

    Attributes:
        whole: (B, out_dim), output of the volume.
        encoder: (B, N, patch_dim), outputs of the N cells of the coarsest encoder map.
        decoder: (B, M, patch_dim), outputs of the M cells of a decoder map.
    """

    whole: Tensor
    encoder: Tensor
    decoder: Tensor


class UnitLinear(nn.Module):
    """Linear layer without bias whose rows are normalised to 1 in every pass.

    Args:
        in_features, out_features: See ``torch.nn.Linear``.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_features) for ``x`` (..., in_features); these are cosines if ``x`` has norm 1."""
        return F.linear(x, F.normalize(self.weight, dim=1))


class ProjectionHead(nn.Module):
    """Perceptron from the volume and its cells to unit vectors, and their cosines with learned prototypes.

    Cells are first mapped to the encoder's width by a linear layer of their own, one for each of the two maps. Volume
    and cells have their own prototypes.

    Args:
        encoder_channels: Channels of the encoder's coarsest map and of the vector of the volume.
        decoder_channels: Channels of the decoder map.
        out_dim, patch_dim: Number of prototypes of volumes and of cells.
        hidden_dim: Width of the perceptron's two hidden layers.
        bottleneck_dim: Length of the unit vectors.

    Raises:
        ValueError: a size below 1; in a call, a wrong shape.

    Source: Alice (arXiv:2302.05615), the released code's head, after Zhou et al., iBOT (arXiv:2111.07832).

    Example:
        >>> head = ProjectionHead(96, 64)
        >>> head(torch.ones(2, 96), torch.ones(2, 96, 4, 4, 4), torch.ones(2, 64, 8, 8, 8)).decoder.shape
        torch.Size([2, 512, 128])
    """

    def __init__(
        self,
        encoder_channels: int,
        decoder_channels: int,
        out_dim: int = 128,
        patch_dim: int = 128,
        hidden_dim: int = 256,
        bottleneck_dim: int = 128,
    ) -> None:
        super().__init__()
        sizes = {"encoder_channels": encoder_channels, "decoder_channels": decoder_channels, "out_dim": out_dim}
        sizes |= {"patch_dim": patch_dim, "hidden_dim": hidden_dim, "bottleneck_dim": bottleneck_dim}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        self.encoder_in = nn.Linear(encoder_channels, encoder_channels)
        self.decoder_in = nn.Linear(decoder_channels, encoder_channels)
        self.mlp = nn.Sequential(
            nn.Linear(encoder_channels, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.GELU(),
            nn.Linear(hidden_dim, bottleneck_dim),
        )
        self.whole_out = UnitLinear(bottleneck_dim, out_dim)
        self.patch_out = UnitLinear(bottleneck_dim, patch_dim)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, whole: Tensor, encoder: Tensor, decoder: Tensor) -> Projections:
        """Project the features of one batch.

        Args:
            whole: (B, encoder_channels).
            encoder: (B, encoder_channels, D, H, W), cells in the order of ``flatten``.
            decoder: (B, decoder_channels, d, h, w).
        """
        shapes = {"whole": (whole, self.encoder_in, 2), "encoder": (encoder, self.encoder_in, 5)}
        shapes["decoder"] = (decoder, self.decoder_in, 5)
        for name, (tensor, layer, dims) in shapes.items():
            if tensor.ndim != dims or tensor.shape[1] != layer.in_features or len(tensor) != len(whole):
                wanted = f"(B, {layer.in_features}{', D, H, W' * (dims == 5)})"
                raise ValueError(f"{name} must have shape {wanted} with one B for all, got {tuple(tensor.shape)}.")
        cells = [
            self.patch_out(self._unit(layer(volume.flatten(2).transpose(1, 2))))
            for layer, volume in ((self.encoder_in, encoder), (self.decoder_in, decoder))
        ]
        return Projections(self.whole_out(self._unit(whole)), *cells)

    def _unit(self, x: Tensor) -> Tensor:
        return F.normalize(self.mlp(x), dim=-1)
