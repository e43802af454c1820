"""Subjects from given label maps: random contrast per structure and a random smooth deformation.

The idea is SynthSeg's (B. Billot et al., Medical Image Analysis 86, 2023); the deformation and its field are ours.
"""

from functools import lru_cache
from pathlib import Path
from typing import cast

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from .deformation import Deformation
from .head.anatomy import FRAME
from .head.appearance import acquire
from .subject import Subject, grid_affine, grid_points, smooth_texture, stream

CONTRAST = "random"
_SHAPE, _CONTRAST, _ACQUISITION = range(10, 13)  # streams of random numbers, apart from those of brain_mri


class LabelMaps:
    """A folder of label maps (``.nii``, ``.nii.gz``): the template of subject i is map ``i`` modulo their number.

    Args:
        folder: Folder of the files.

    Attributes:
        ids: All label ids of the folder, ascending, 0 first; a subject's label k stands for ``ids[k]``.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: it holds no label map; a map is not three-dimensional, or not of whole numbers from 0 up; there are
            more than 255 structures. The folder or file is named.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        if not folder.is_dir():
            raise FileNotFoundError(f"label_maps: no folder {folder}.")
        self._files = sorted(path for path in folder.iterdir() if path.name.endswith((".nii", ".nii.gz")))
        if not self._files:
            raise ValueError(f"label_maps: no .nii or .nii.gz file in {folder}.")
        found = {0}
        for path in self._files:
            found.update(np.unique(_read(path)[0]).tolist())
        self.ids = sorted(found)
        if len(self.ids) > 256:
            raise ValueError(f"label_maps: {folder} holds {len(self.ids) - 1} structures; at most 255 can be written.")

    def subject(self, seed: int, index: int, size: int) -> Subject:
        """One subject: the labelled part of its map in a cube of ``size`` voxels a side, RAS.

        Its landmarks are the voxels nearest to the centre of mass of each structure, called ``label <id>``. The
        template of its field is the map itself, in coordinates about the centre of its labelled part.
        """
        values, affine = _read(self._files[index % len(self._files)])
        labels = np.searchsorted(self.ids, values).astype(np.uint8)
        boxes = ndimage.find_objects((labels > 0).astype(np.uint8))
        corners = np.array([[s.start, s.stop - 1] for s in (boxes[0] if boxes else map(slice, [0] * 3, labels.shape))])
        spacing = np.diag(affine)[:3]
        middle = affine[:3, 3] + spacing * corners.mean(axis=1)
        extent = float((np.ptp(corners, axis=1) * spacing).max()) + 8.0

        generator = stream(seed, index, _SHAPE)
        rotation = Rotation.from_euler("xyz", generator.normal(0, 4, 3), degrees=True).as_matrix()
        scale = np.exp(generator.normal(0, 0.03, 3))
        deformation = Deformation(FRAME, generator, (rotation / scale).T, np.zeros(3), strength=3.2, smoothness=42.0)
        grid = grid_affine(np.zeros(3), np.full(3, extent / size), np.full(3, size))
        world, axes = grid_points(grid, (size,) * 3)
        template = deformation.to_template(world)
        offset = (middle - affine[:3, 3]).astype(np.float32)
        voxels = (template + offset.reshape(3, 1, 1, 1)) / spacing.astype(np.float32).reshape(3, 1, 1, 1)
        label = ndimage.map_coordinates(labels, voxels, order=0)

        signals = stream(seed, index, _CONTRAST).uniform(0.05, 1.0, len(self.ids)).astype(np.float32)
        signals[0] = 0.01
        clean = ndimage.gaussian_filter(signals[label], 0.5)  # partial volume
        texture = smooth_texture(stream(seed, index, _CONTRAST, 1), label.shape, np.diag(grid)[:3])
        image = acquire(clean, texture, tuple(axes), stream(seed, index, _ACQUISITION))
        return Subject(
            {CONTRAST: image},
            label,
            np.moveaxis(template - world, 0, -1),
            grid,
            self._landmarks(labels, spacing, offset, deformation),
        )

    def _landmarks(
        self, labels: np.ndarray, spacing: np.ndarray, offset: np.ndarray, deformation: Deformation
    ) -> dict[str, tuple[np.ndarray, int]]:
        landmarks = {}
        for index, box in enumerate(ndimage.find_objects(labels), start=1):
            if box is None:
                continue
            inside = np.argwhere(labels[box] == index)
            nearest = inside[np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
            voxel = nearest + [s.start for s in box]
            landmarks[f"label {self.ids[index]}"] = (deformation.to_subject(voxel * spacing - offset), index)
        return landmarks


@lru_cache(maxsize=1)
def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Label values in the RAS orientation nearest to the file's, and the axis-aligned affine of their grid."""
    try:
        stored = cast(nib.Nifti1Image, nib.load(path))
    except (nib.filebasedimages.ImageFileError, OSError, EOFError) as error:
        raise ValueError(f"label_maps: {path} cannot be read: {error}") from error
    if len(stored.shape) != 3:
        raise ValueError(f"label_maps: {path} must be three-dimensional, got shape {stored.shape}.")
    canonical = nib.as_closest_canonical(stored)
    values = np.asarray(canonical.dataobj)
    whole = values.astype(np.int32)
    if not np.array_equal(values, whole) or whole.min() < 0:
        raise ValueError(f"label_maps: {path} must hold whole numbers from 0 up.")
    spacing = nib.affines.voxel_sizes(canonical.affine)
    return whole, np.diag([*spacing, 1.0])
