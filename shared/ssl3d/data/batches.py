"""Keys and shapes of the batches that data sets give to the views of a method."""

from typing import TypedDict

from torch import Tensor


class VolumeBatch(TypedDict):
    """Single volumes, of a ``DrawDataset``.

    Attributes:
        image: (B, C, D, H, W).
        valid: (B, 1, D, H, W), 1 where a voxel is real and not padding.
        draw: (B,), draw numbers; everything random derives from (seed, draw).
    """

    image: Tensor
    valid: Tensor
    draw: Tensor


class PairBatch(TypedDict):
    """Pairs of volumes of one group, of a ``PairDataset``.

    Attributes:
        fixed, moving: (B, C, D, H, W).
        fixed_valid, moving_valid: (B, 1, D, H, W), 1 where a voxel is real and not padding.
        copy: (B,), 1 where both are one volume.
        draw: (B,), draw numbers.
    """

    fixed: Tensor
    moving: Tensor
    fixed_valid: Tensor
    moving_valid: Tensor
    copy: Tensor
    draw: Tensor


class MatchedPairBatch(TypedDict):
    """Crops around equal places of two volumes, of a ``MatchedPairDataset``.

    Attributes:
        image: (B, 2, C, D, H, W), the crop of the query and its partner.
        valid: (B, 2, 1, D, H, W), 1 where a voxel is real and not padding.
        score: (B,), certainty of the pair, as the matcher gives it.
        copy: (B,), 1 where both crops are of one volume.
        draw: (B,), draw numbers.
    """

    image: Tensor
    valid: Tensor
    score: Tensor
    copy: Tensor
    draw: Tensor
