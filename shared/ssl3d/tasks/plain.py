"""Convert tensors to plain tensors on the CPU."""

import torch
from monai.utils import convert_to_tensor
from torch import Tensor


def plain(volume: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor without metadata on the CPU, because not every accelerator has float64."""
    return convert_to_tensor(volume, dtype=dtype, device="cpu", track_meta=False)
