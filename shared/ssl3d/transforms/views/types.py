"""Define keys and shapes of the views that methods learn from."""

from typing import TypedDict

from torch import Tensor


class PairedViews(TypedDict):
    """Views of ``PairViews``, for ``GVSL``.

    Attributes:
        fixed, moving: (B, C, D, H, W), intensities in [0, 1].
        corrupted: (B, C, D, H, W), the fixed volume with changed appearance and hidden parts.
        valid: (B, 1, D, H, W), 1 for real voxels of the fixed volume, 0 for padding.
    """

    fixed: Tensor
    corrupted: Tensor
    moving: Tensor
    valid: Tensor


class HiddenViews(TypedDict):
    """Views of ``MaskedViews``, for ``MAE``.

    Attributes:
        image: (B, C, D, H, W).
        masked: (B, C, D, H, W), the same with its hidden voxels at 0.
        hidden, valid: (B, 1, D, H, W), 1 where a voxel is hidden, and where it is real and not padding.
    """

    image: Tensor
    masked: Tensor
    hidden: Tensor
    valid: Tensor


class WarpedViews(TypedDict):
    """Views of ``CorrespondenceViews`` with P crops and N cells per volume, for ``S2DC``.

    Attributes:
        image: (B, C, D, H, W).
        warped: (B, C, D, H, W), warped as a whole.
        augmented: (B, C, D, H, W), warped crop by crop.
        correspondence: (B, N, N), bool; rows are cells of ``image``, columns cells of ``warped``.
        image_valid, warped_valid: (B, N), bool, cells with at least half real voxels.
        crop_valid: (B, P), bool, crops with at least half real voxels.
        chosen: (B,), index of the crop for the contrast.
        draw: (B,), draw numbers.
    """

    image: Tensor
    warped: Tensor
    augmented: Tensor
    correspondence: Tensor
    image_valid: Tensor
    warped_valid: Tensor
    crop_valid: Tensor
    chosen: Tensor
    draw: Tensor


class MatchedCropViews(TypedDict):
    """Views of ``MatchedViews``: two crops of each of B pairs, for ``Alice``.

    Attributes:
        image: (B, 2, C, D, H, W).
        masked: (B, 2, C, D, H, W), with hidden blocks at 0, for the student.
        target: (B, 2, C, D, H, W), rotated and with noise, for the teacher.
        hidden, valid: (B, 2, 1, D, H, W), 1 where a voxel is hidden, and where it is real and not padding.
        score: (B,), confidence of the match.
        copy: (B,), 1 if both crops come from the same volume.
    """

    image: Tensor
    masked: Tensor
    target: Tensor
    hidden: Tensor
    valid: Tensor
    score: Tensor
    copy: Tensor


class WindowViews(TypedDict):
    """Views of ``EmbeddingViews``: two windows of each of B volumes, for ``AnatomicalEmbedding``.

    Attributes:
        image: (B, 2, C, D, H, W).
        coordinates: (B, 2, 3, D, H, W), mm from the volume's first voxel; also defined outside the volume.
        valid: (B, 2, 1, D, H, W), 1 where a voxel is real and not padding.
        draw: (B,), draw numbers.
    """

    image: Tensor
    coordinates: Tensor
    valid: Tensor
    draw: Tensor
