"""Make the views of GVSL and MAE on the device; every parameter is a function of (seed, draw)."""

from typing import Any

import torch

from ...data.batches import PairBatch, VolumeBatch
from ..appearance import AppearanceAugmentation
from ..block_mask import BlockMask
from ..sampling import to_device
from ..spatial_augmentation import SpatialAugmentation
from .types import HiddenViews, PairedViews

COPY = "spatial augmentation of a copy"  # second field of a volume that is paired with itself


class PairViews:
    """Views of GVSL for pairs, used as ``prepare_batch`` of a MONAI engine.

    Fixed and moving volume get the same spatial augmentation, so that only the difference between the people is left
    to register. A volume that is paired with itself gets a second augmentation. The fixed volume is then corrupted.

    Args:
        spatial, appearance: Augmentations of the shape and of the intensities.
        seed: Seed of the run.

    Source: GVSL (He et al., CVPR 2023, https://arxiv.org/abs/2303.00874): the order of its released code.
    """

    def __init__(self, spatial: SpatialAugmentation, appearance: AppearanceAugmentation, seed: int = 0) -> None:
        self.spatial = spatial
        self.appearance = appearance
        self.seed = seed

    def __call__(
        self, batch: PairBatch, device: str | torch.device | None = None, non_blocking: bool = False, **_: Any
    ) -> tuple[PairedViews, None]:
        """Return the views of a batch, and no target.

        Args:
            batch: Batch of a ``PairDataset``.
            device: Device that makes the views.
            non_blocking: Whether copies to the device may overlap with other work.
        """
        fixed, moving, valid = to_device(device, non_blocking, batch["fixed"], batch["moving"], batch["fixed_valid"])
        draws, size = batch["draw"].tolist(), tuple(fixed.shape[2:])
        original = moving
        fixed, valid, moving = self.spatial.apply(self.spatial.sample(draws, size, self.seed), fixed, valid, moving)
        copies = batch["copy"].to(moving.device).view(-1, 1, 1, 1, 1) > 0
        if copies.any():
            (other,) = self.spatial.apply(self.spatial.sample(draws, size, self.seed, COPY), original)
            moving = torch.where(copies, other, moving)
        corruption = self.appearance.sample(draws, size, self.seed, channels=fixed.shape[1])
        return {
            "fixed": fixed,
            "corrupted": self.appearance.apply(fixed, corruption),
            "moving": moving,
            "valid": (valid > 0.5).to(fixed),
        }, None


class MaskedViews:
    """Views of MAE for single volumes, used as ``prepare_batch`` of a MONAI engine.

    Args:
        spatial: Spatial augmentation of the volumes.
        mask: Sampler of the hidden blocks.
        seed: Seed of the run.
    """

    def __init__(self, spatial: SpatialAugmentation, mask: BlockMask, seed: int = 0) -> None:
        self.spatial = spatial
        self.mask = mask
        self.seed = seed

    def __call__(
        self, batch: VolumeBatch, device: str | torch.device | None = None, non_blocking: bool = False, **_: Any
    ) -> tuple[HiddenViews, None]:
        """Return the views of a batch, and no target.

        Args:
            batch: Batch of a ``DrawDataset``.
            device: Device that makes the views.
            non_blocking: Whether copies to the device may overlap with other work.
        """
        image, valid = to_device(device, non_blocking, batch["image"], batch["valid"])
        draws, size = batch["draw"].tolist(), tuple(image.shape[2:])
        image, valid = self.spatial.apply(self.spatial.sample(draws, size, self.seed), image, valid)
        hidden = self.mask.sample(draws, size, self.seed).to(image)
        masked = image * (1 - hidden)
        return {"image": image, "masked": masked, "hidden": hidden, "valid": (valid > 0.5).to(image)}, None
