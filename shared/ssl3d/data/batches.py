"""Keys and shapes of the batches that data sets give to the views of a method."""

from typing import TypedDict

from torch import Tensor


class VolumeBatch(TypedDict):
    """Batch of single volumes from a ``DrawDataset``.

    Attributes:
        image: (B, C, D, H, W).
        valid: (B, 1, D, H, W), 1 where a voxel is real and not padding.
        draw: (B,), draw numbers; everything random derives from (seed, draw).
    """

    image: Tensor
    valid: Tensor
    draw: Tensor


class PairBatch(TypedDict):
    """Batch of pairs of volumes from a ``PairDataset``; both volumes of a pair belong to one group.

    Attributes:
        fixed, moving: (B, C, D, H, W).
        fixed_valid, moving_valid: (B, 1, D, H, W), 1 where a voxel is real and not padding.
        copy: (B,), 1 if both are the same volume.
        draw: (B,), draw numbers.
    """

    fixed: Tensor
    moving: Tensor
    fixed_valid: Tensor
    moving_valid: Tensor
    copy: Tensor
    draw: Tensor


class MatchedPairBatch(TypedDict):
    """Batch of crops around corresponding places of two volumes, from a ``MatchedPairDataset``.

    Attributes:
        image: (B, 2, C, D, H, W), the query crop and its partner.
        valid: (B, 2, 1, D, H, W), 1 where a voxel is real and not padding.
        score: (B,), confidence of the matcher in the pair.
        copy: (B,), 1 if both crops come from the same volume.
        draw: (B,), draw numbers.
    """

    image: Tensor
    valid: Tensor
    score: Tensor
    copy: Tensor
    draw: Tensor
