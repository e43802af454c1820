"""Draw random similarity transforms in mm and degrees, as matrices for image, mask and correspondence alike."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..geometry import affine_matrix, voxel_matrix
from .sampling import Draws, random_states


class AffineAugmentation:
    """Rotations about the three axes, one scale factor and a shift, each uniform in its range.

    Ranges are given in the patient's space. The spacing of the volumes converts them to matrices in voxels.

    Args:
        rotation: Largest angle about the axes D, H, W in degrees.
        scale: Lowest and highest factor, the same along all axes; 1.2 shows 1.2 times as much along each axis.
        translation: Largest shift along D, H, W in mm.
        spacing: Voxel size of the volumes along D, H, W in mm.

    Raises:
        ValueError: a range of another form.

    Source: S2DC (arXiv:2507.02581), the ranges of its released code: 30 degrees about the axis of the body, factors 0.9
    to 1.2 and 24 voxels in the plane for whole volumes.

    Example:
        >>> AffineAugmentation(rotation=(0, 0, 30)).sample([0, 1], seed=0, purpose="example").shape
        torch.Size([2, 1, 3, 4])
    """

    def __init__(
        self,
        *,
        rotation: Sequence[float] = (0.0, 0.0, 30.0),
        scale: Sequence[float] = (0.9, 1.2),
        translation: Sequence[float] = (24.0, 24.0, 0.0),
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        for name, values in {"rotation": rotation, "translation": translation}.items():
            if len(values) != 3 or not all(0 <= value < math.inf for value in values):
                raise ValueError(f"{name} must be three numbers of 0 or more, along D, H, W, got {tuple(values)}.")
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] < math.inf:
            raise ValueError(f"scale must be two positive factors, the lower one first, got {tuple(scale)}.")
        if len(spacing) != 3 or not all(0 < value < math.inf for value in spacing):
            raise ValueError(f"spacing must be three positive numbers, along D, H, W, got {tuple(spacing)}.")
        self.rotation, self.scale = tuple(rotation), tuple(scale)
        self.translation, self.spacing = tuple(translation), tuple(spacing)

    def sample(self, draws: Draws, seed: int, purpose: str, count: int = 1) -> Tensor:
        """Draw ``count`` matrices for each item of a batch: (B, count, 3, 4), float64 on the CPU, in voxels.

        Args:
            draws: (B,) draw numbers; each item's matrices are a function of (seed, draw, purpose).
            seed: Seed of the run.
            purpose: Text that no other sampler uses.
            count: Number of matrices per item, at least 1.

        Raises:
            ValueError: draws of another form.
        """
        states = random_states(seed, draws, purpose)
        # (B, count, 7) in [-1, 1): three angles, three shifts, the scale
        numbers = torch.stack([torch.from_numpy(state.uniform(-1, 1, (count, 7))) for state in states]).flatten(0, 1)
        angles, shifts, factor = numbers.split([3, 3, 1], dim=1)
        low, high = self.scale
        matrix = affine_matrix(
            rotation=angles * torch.tensor(self.rotation, dtype=torch.float64).deg2rad(),
            scale=((low + high) / 2 + factor * (high - low) / 2).expand(-1, 3),
            translation=shifts * torch.tensor(self.translation, dtype=torch.float64),
            shear=torch.zeros(len(numbers), 6, dtype=torch.float64),
        )
        return voxel_matrix(matrix, torch.tensor(self.spacing)).unflatten(0, (len(states), count))
