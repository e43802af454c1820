"""Make the views of S2DC: a volume, a copy that is warped as a whole, a copy whose crops are warped one by one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...data.batches import VolumeBatch
from ...geometry import correspondence, warp_affine
from ..affine_augmentation import AffineAugmentation
from ..crop_grid import check_crops, join_crops, split_crops, valid_share
from ..sampling import random_states, to_device
from .types import WarpedViews

WHOLE, EACH, CHOICE = "correspondence views: volume", "correspondence views: crops", "correspondence views: choice"
SHIFT = "correspondence views: intensity"
HALF = 0.5 - 1e-4  # half of a cell, less the rounding errors of a warp


class CorrespondenceViews:
    """Views of S2DC, used as ``prepare_batch`` of a MONAI engine.

    A volume is a grid of crops, and each crop a grid of cells, the tokens of the network. One matrix per item warps the
    volume, the mask of real voxels and the correspondence of cells. A cell with less than half real voxels is not
    valid: its token is neither positive nor negative.

    For the contrast of whole crops each crop is also warped by a matrix of its own. One crop of the volume is chosen at
    random among those with at least half real voxels, else the crop with most real voxels.

    Args:
        crops: Number of crops along D, H, W.
        cell: Edge of a cell in voxels, equal to the stride of the tokens.
        volume: Random warp of the whole volume.
        crop: Random warp of each crop; with the ranges of ``volume`` if not given.
        intensity: Largest shift of the intensities of a warped copy, of a whole volume or of a crop.
        intensity_probability: Probability of a shift of the intensities.
        seed: Seed of the run.

    Raises:
        ValueError: arguments of another form; in a call, a volume that crops, or crops that cells do not tile.

    Source: S2DC (arXiv:2507.02581), the views of its released code. Differences: crops and correspondence use all three
    axes, and the chosen crop does not depend on the rest of the batch. Crops are scaled by 1 ± 0.05, while an error in
    the released code makes it 0 to 2.

    Example:
        >>> image, valid = torch.rand(1, 1, 32, 32, 32), torch.ones(1, 1, 32, 32, 32)
        >>> views, _ = CorrespondenceViews((1, 2, 2), 8)({"image": image, "valid": valid, "draw": torch.tensor([0])})
        >>> views["correspondence"].shape
        torch.Size([1, 64, 64])
    """

    def __init__(
        self,
        crops: Sequence[int],
        cell: int,
        volume: AffineAugmentation | None = None,
        crop: AffineAugmentation | None = None,
        *,
        intensity: float = 0.1,
        intensity_probability: float = 0.1,
        seed: int = 0,
    ) -> None:
        check_crops(crops, crops)  # crops of one voxel, to check the numbers only
        if cell < 1:
            raise ValueError(f"cell must be at least 1, got {cell}.")
        if not intensity >= 0:
            raise ValueError(f"intensity must be 0 or more, got {intensity}.")
        if not 0 <= intensity_probability <= 1:
            raise ValueError(f"intensity_probability is a probability in [0, 1], got {intensity_probability}.")
        self.crops = tuple(crops)
        self.cell = cell
        self.volume = volume or AffineAugmentation()
        self.crop = crop or self.volume
        self.intensity = intensity
        self.intensity_probability = intensity_probability
        self.seed = seed

    def __call__(
        self, batch: VolumeBatch, device: str | torch.device | None = None, non_blocking: bool = False, **_: Any
    ) -> tuple[WarpedViews, None]:
        """Return the views of a batch, and no target.

        Args:
            batch: Batch of a ``DrawDataset``.
            device: Device that makes the views.
            non_blocking: Whether copies to the device may overlap with other work.
        """
        image, valid = to_device(device, non_blocking, batch["image"], batch["valid"])
        draws, size = batch["draw"].tolist(), tuple(image.shape[2:])
        crop = check_crops(size, self.crops)
        if any(length % self.cell for length in crop):
            raise ValueError(
                f"A crop of {crop} voxels (a volume of {size} in {self.crops} crops) is no multiple of the cells of "
                f"{self.cell} voxels. Take a roi_size that is a multiple of {self.cell} times the number of crops."
            )
        cell, count = (self.cell,) * 3, self.crops[0] * self.crops[1] * self.crops[2]

        # Shift the intensities before the warp, so that padding stays 0.
        shift = self._shifts(draws, count + 1).to(image)  # (B, 1 + P): of the whole copy, of each crop
        matrix = self.volume.sample(draws, self.seed, WHOLE)[:, 0].to(image.device)
        shifted = image + shift[:, 0].view(-1, 1, 1, 1, 1) * valid
        both = warp_affine(torch.cat([shifted, valid], dim=1), matrix, exact=False)
        warped, warped_valid = both[:, :-1], both[:, -1:]
        matrices = self.crop.sample(draws, self.seed, EACH, count).flatten(0, 1).to(image.device)
        pieces = split_crops(image, self.crops) + shift[:, 1:].reshape(-1, 1, 1, 1, 1) * split_crops(valid, self.crops)

        share = valid_share(valid, crop)  # (B, P)
        return (
            {
                "image": image,
                "warped": warped,
                "augmented": join_crops(warp_affine(pieces, matrices, exact=False), self.crops),
                "correspondence": correspondence(matrix, [length // self.cell for length in size], cell),
                "image_valid": valid_share(valid, cell) >= HALF,
                "warped_valid": valid_share(warped_valid, cell) >= HALF,
                "crop_valid": share >= HALF,
                "chosen": self._choose(draws, share),
                "draw": torch.tensor(draws, device=image.device),
            },
            None,
        )

    def _shifts(self, draws: list[int], count: int) -> Tensor:
        """Draw shifts of the intensities (B, count), most of them 0."""
        states = random_states(self.seed, draws, SHIFT)
        numbers = torch.stack([torch.from_numpy(state.random_sample((2, count))) for state in states])
        happens, size = numbers.unbind(1)
        return (2 * size - 1) * self.intensity * (happens < self.intensity_probability)

    def _choose(self, draws: list[int], share: Tensor) -> Tensor:
        """Choose the index (B,) of a crop, given the share (B, P) of real voxels in each crop."""
        states = random_states(self.seed, draws, CHOICE)
        random = torch.stack([torch.from_numpy(state.random_sample(share.shape[1])) for state in states]).to(share)
        return torch.where(share >= HALF, 1 + random, share).argmax(dim=1)
