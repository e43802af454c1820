"""Tensors without metadata, on the CPU."""

import torch
from monai.utils import convert_to_tensor
from torch import Tensor


def plain(volume: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor without metadata, on the CPU: not every accelerator has float64."""
    return convert_to_tensor(volume, dtype=dtype, device="cpu", track_meta=False)
