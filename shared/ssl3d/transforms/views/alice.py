"""Make the views of Alice from pairs of crops, on the device; every parameter is a function of (seed, draw)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data.batches import MatchedPairBatch
from ...geometry import warp_affine
from ..affine_augmentation import AffineAugmentation
from ..block_mask import BlockMask
from ..sampling import random_states, to_device
from .types import MatchedCropViews

MASKS = "block mask", "block mask of the second crop"


class MatchedViews:
    """Views of Alice for crops around corresponding places, used as ``prepare_batch`` of a MONAI engine.

    The student sees each crop with hidden blocks (0, the lowest intensity). The teacher sees the whole crop, rotated
    and with noise. Each crop has its own mask, rotation and noise.

    Args:
        mask: Sampler of the hidden blocks.
        spacing: Voxel size of the crops along (D, H, W) in mm.
        rotation: Largest rotation of the teacher's crops in degrees, about the third axis, which is that of the body in
            volumes of RAS orientation.
        noise: Largest standard deviation of the Gaussian noise of the teacher's crops.
        seed: Seed of the run.

    Raises:
        ValueError: a number out of range.

    Source: Jiang et al., Alice (arXiv:2302.05615), figure 2; in its released code masks are tubes and the augmented
    crops, turned by 15 degrees and with noise of 0.1, are computed and not used.
    """

    def __init__(
        self, mask: BlockMask, spacing: Sequence[float], *, rotation: float = 15.0, noise: float = 0.1, seed: int = 0
    ) -> None:
        if not 0 <= noise < np.inf:
            raise ValueError(f"noise must be 0 or more, got {noise}.")
        self.mask, self.noise, self.seed = mask, noise, seed
        self.target = AffineAugmentation(
            rotation=(0, 0, rotation), scale=(1, 1), translation=(0, 0, 0), spacing=spacing
        )

    def __call__(
        self, batch: MatchedPairBatch, device: str | torch.device | None = None, non_blocking: bool = False, **_: Any
    ) -> tuple[MatchedCropViews, None]:
        """Return the views of a batch, and no target.

        Args:
            batch: Batch of a ``MatchedPairDataset``.
            device: Device that makes the views.
            non_blocking: Whether copies to the device may overlap with other work.
        """
        image, valid = to_device(device, non_blocking, batch["image"], batch["valid"])
        draws, size = batch["draw"].tolist(), tuple(image.shape[3:])
        masks = [self.mask.sample(draws, size, self.seed, purpose) for purpose in MASKS]
        hidden = torch.stack(masks, dim=1).to(image)
        return {
            "image": image,
            "masked": image * (1 - hidden),
            "target": self._target(image, draws),
            "hidden": hidden,
            "valid": (valid > 0.5).to(image),
            "score": torch.as_tensor(batch["score"]).to(image),
            "copy": torch.as_tensor(batch["copy"]).to(image),
        }, None

    def _target(self, image: Tensor, draws: list[int]) -> Tensor:
        matrix = self.target.sample(draws, self.seed, "target of matched views", count=2)  # (B, 2, 3, 4)
        moved = warp_affine(image.flatten(0, 1), matrix.flatten(0, 1).to(image)).view(image.shape)
        states = random_states(self.seed, draws, "noise of matched views")
        noise = [state.uniform(0, self.noise) * state.standard_normal(tuple(image.shape[1:])) for state in states]
        return moved + torch.from_numpy(np.stack(noise)).to(image)
