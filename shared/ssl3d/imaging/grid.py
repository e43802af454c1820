"""Where the voxels of a volume are, and whether two volumes have them at the same places."""

from typing import NamedTuple

import nibabel as nib
import numpy as np


class Grid(NamedTuple):
    """Where the voxels of a file are: spatial shape (3 ints) and affine (4, 4), voxel -> mm."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """(3,) mm, one for each spatial axis."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def axes(self) -> str:
        """Where the three axes point, such as ``"RAS"``."""
        return "".join(letter or "?" for letter in nib.aff2axcodes(self.affine))

    def turned(self, axes: str) -> "Grid":
        """Return the grid of the same voxel centres with axes turned to ``axes``, like MONAI's ``Orientation``."""
        turn = nib.orientations.ornt_transform(nib.io_orientation(self.affine), nib.orientations.axcodes2ornt(axes))
        shape = tuple(self.shape[stored] for stored in turn[:, 0].argsort())
        return Grid(shape, self.affine @ nib.orientations.inv_ornt_aff(turn, self.shape))

    def shift(self, affine: np.ndarray) -> float:
        """How far another affine moves the corner of the grid that it moves most, in voxels (of the shortest side)."""
        last = np.array(self.shape) - 1.0
        corners = np.array([[*(last * side), 1.0] for side in np.ndindex(2, 2, 2)])  # (8, 4)
        moved = np.linalg.norm((corners @ (affine - self.affine).T)[:, :3], axis=1)
        return float(moved.max() / self.spacing.min())
