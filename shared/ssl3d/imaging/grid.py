"""Describe the grid of a volume in world coordinates, and compare two grids."""

from typing import NamedTuple

import nibabel as nib
import numpy as np


class Grid(NamedTuple):
    """Grid of a file: spatial shape (3 ints) and affine (4, 4), voxel -> mm."""

    shape: tuple[int, ...]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size (3,) in mm along the spatial axes."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def axes(self) -> str:
        """Directions of the three axes, such as ``"RAS"``."""
        return "".join(letter or "?" for letter in nib.aff2axcodes(self.affine))

    def turned(self, axes: str) -> "Grid":
        """Return the grid of the same voxel centres with axes turned to ``axes``, like MONAI's ``Orientation``."""
        turn = nib.orientations.ornt_transform(nib.io_orientation(self.affine), nib.orientations.axcodes2ornt(axes))
        shape = tuple(self.shape[stored] for stored in turn[:, 0].argsort())
        return Grid(shape, self.affine @ nib.orientations.inv_ornt_aff(turn, self.shape))

    def shift(self, affine: np.ndarray) -> float:
        """Return the largest shift of a grid corner under another affine, in voxels (of the shortest side)."""
        last = np.array(self.shape) - 1.0
        corners = np.array([[*(last * side), 1.0] for side in np.ndindex(2, 2, 2)])  # (8, 4)
        moved = np.linalg.norm((corners @ (affine - self.affine).T)[:, :3], axis=1)
        return float(moved.max() / self.spacing.min())
