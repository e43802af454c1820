"""Hide random blocks of volumes for masked autoencoding."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from .sampling import Draws, check_size, random_states

SHAPES = ("cubes", "tubes")


class BlockMask:
    """Random mask that hides a fixed share of the blocks of a grid.

    The grid starts at voxel 0. The last blocks of an axis are smaller if its length is no multiple of the block size.

    Args:
        block_size: Edge of a block in voxels.
        ratio: Share of the blocks to hide, in (0, 1).
        shape: ``cubes``, or ``tubes``, which run through the whole volume along the third axis.

    Raises:
        ValueError: a block size below 1, a ratio outside (0, 1), another shape.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners (arXiv:2111.06377), section 3; tubes: the
    released code of Alice (arXiv:2302.05615).

    Example:
        >>> BlockMask().sample([0, 1], (32, 32, 32), seed=0).sum((1, 2, 3, 4)) / 8**3  # 60 % of 64
        tensor([38., 38.])
    """

    def __init__(self, *, block_size: int = 8, ratio: float = 0.6, shape: str = "cubes") -> None:
        if block_size < 1:
            raise ValueError(f"block_size must be at least 1, got {block_size}.")
        if not 0 < ratio < 1:
            raise ValueError(f"ratio must lie between 0 and 1, got {ratio}.")
        if shape not in SHAPES:
            raise ValueError(f"shape must be one of {', '.join(SHAPES)}, got {shape!r}.")
        self.block_size, self.ratio, self.shape = block_size, ratio, shape

    def sample(self, draws: Draws, size: Sequence[int], seed: int, purpose: str = "block mask") -> Tensor:
        """Draw the masks of a batch, True where hidden: (B, 1, D, H, W), bool, on the CPU.

        Exactly ``round(ratio · blocks)`` blocks of each item are hidden.

        Args:
            draws: (B,) draw numbers; each item's mask is a function of (seed, draw, size).
            size: (D, H, W) in voxels.
            seed: Seed of the run.
            purpose: Text that no other sampler uses; a second mask of the same draws has another.

        Raises:
            ValueError: draws or sizes of another form; so few blocks that all of them or none would be hidden.
        """
        size = check_size(size)
        edges = [self.block_size, self.block_size, self.block_size if self.shape == "cubes" else size[2]]
        grid = [-(-length // edge) for length, edge in zip(size, edges, strict=True)]
        blocks = grid[0] * grid[1] * grid[2]
        hidden = round(self.ratio * blocks)
        if not 0 < hidden < blocks:
            raise ValueError(
                f"{hidden} of the {blocks} blocks of a volume of size {size} would be hidden: choose a block_size "
                f"below {self.block_size}."
            )
        states = random_states(seed, draws, purpose)
        mask = torch.stack([torch.from_numpy(state.permutation(blocks)) < hidden for state in states])
        mask = mask.view(len(states), 1, *grid)
        for axis, (length, edge) in enumerate(zip(size, edges, strict=True), start=2):
            mask = mask.repeat_interleave(edge, axis).narrow(axis, 0, length)
        return mask


class HideBlocksd(MapTransform):
    """Set random blocks of an image to 0, the same blocks at each call, and keep the mask under ``hidden``.

    Args:
        keys: Key of the image (C, D, H, W); one key only.
        mask: Sampler of the blocks.
        seed: Seed of the choice of blocks.

    Raises:
        ValueError: more than one key.
    """

    def __init__(self, keys: KeysCollection, mask: BlockMask, seed: int = 0) -> None:
        super().__init__(keys)
        if len(self.keys) != 1:
            raise ValueError(f"HideBlocksd hides blocks of one image, got keys {self.keys}.")
        self.mask, self.seed = mask, seed

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the masked image, and ``hidden`` (1, D, H, W), bool, added."""
        image = data[self.keys[0]]
        hidden = self.mask.sample([0], image.shape[1:], self.seed)[0].to(image.device)
        return {**data, self.keys[0]: image * ~hidden, "hidden": hidden}


class FillBlocksd(MapTransform):
    """Replace a prediction by the image wherever ``HideBlocksd`` did not hide blocks.

    Args:
        keys: Keys of predictions (C, D, H, W).
        image: Key of the masked image.
    """

    def __init__(self, keys: KeysCollection, image: str = "image") -> None:
        super().__init__(keys)
        self.image = image

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the filled images."""
        hidden, image = data["hidden"], data[self.image]
        filled = {key: torch.where(hidden.to(image.device), data[key].to(image.device), image) for key in self.keys}
        return {**data, **filled}
