"""Penalise displacement fields that are not smooth."""

import torch
from torch import Tensor, nn

from .masked_mean import at_least_float32, check_mask, check_volume, masked_mean


class FlowSmoothnessLoss(nn.Module):
    """Mean of squared or absolute forward differences ``flow(p + e_a) - flow(p)``, averaged over the three axes ``a``.

    A volume of one voxel along an axis has no difference there, and the axis counts 0.

    Args:
        penalty: ``"l2"`` (squared) or ``"l1"`` (absolute).

    Raises:
        ValueError: for any other penalty; in a call, for a wrong shape.

    Source: GVSL (arXiv:2303.00874), equation 2, as its released code computes it.

    Example:
        >>> FlowSmoothnessLoss()(torch.ones(1, 3, 4, 4, 4))
        tensor(0.)
    """

    def __init__(self, penalty: str = "l2") -> None:
        super().__init__()
        if penalty not in ("l1", "l2"):
            raise ValueError(f"penalty must be 'l1' or 'l2', got {penalty!r}.")
        self.penalty = penalty

    def forward(self, flow: Tensor, mask: Tensor | None = None) -> Tensor:
        """Measure the roughness of ``flow``.

        Args:
            flow: Shape ``(B, 3, D, H, W)``, displacement in voxels.
            mask: Shape ``(B, 1, D, H, W)``, 1 at valid voxels and 0 at the others; differences between two valid
                voxels enter the means (:func:`masked_mean`).

        Returns:
            A scalar in the dtype of ``flow``, float32 at least.
        """
        check_volume("flow", flow, channels=3)
        check_mask(mask, flow)
        flow = at_least_float32(flow)
        means = []
        for axis in (2, 3, 4):
            difference = flow.diff(dim=axis)
            penalty = difference.square() if self.penalty == "l2" else difference.abs()
            count = difference.shape[axis]
            valid = None if mask is None else mask.narrow(axis, 0, count) * mask.narrow(axis, 1, count)
            means.append(masked_mean(penalty, valid))
        return torch.stack(means).mean()
