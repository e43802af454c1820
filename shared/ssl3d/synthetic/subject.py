"""One synthetic subject as it is written, and what all kinds share in making one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
from scipy import ndimage

from .deformation import Deformation
from .primitives import Vector


@dataclass(frozen=True)
class Landmark:
    """A named point of a template: position in mm and the name of the label that it lies in."""

    name: str
    point: Vector
    label: str


@dataclass(frozen=True)
class Subject:
    """A subject as it is written.

    Attributes:
        images: Contrast -> image of shape ``(X, Y, Z)``, int16.
        label: Shape ``(X, Y, Z)``, uint8.
        field: Shape ``(X, Y, Z, 3)``, float32: displacement from each voxel to its point of the template, mm, RAS.
        affine: Shape ``(4, 4)``, voxel to world (mm, RAS).
        landmarks: Points of the world in mm, by name, with the label id that each lies in.
        category: Class number of the whole subject, where the kind has classes in the place of label maps.
    """

    images: Mapping[str, np.ndarray]
    label: np.ndarray
    field: np.ndarray
    affine: np.ndarray
    landmarks: Mapping[str, tuple[np.ndarray, int]]
    category: int | None = None


def placed(
    landmarks: Iterable[Landmark], ids: Mapping[str, int], deformation: Deformation
) -> dict[str, tuple[np.ndarray, int]]:
    """Map the landmarks of a template to the world of a subject, in the form of ``Subject.landmarks``."""
    marks = list(landmarks)
    points = deformation.to_subject(np.array([mark.point for mark in marks]).T).T
    return {mark.name: (point, ids[mark.label]) for mark, point in zip(marks, points, strict=True)}


def stream(seed: int, index: int, *purpose: int) -> np.random.Generator:
    """Random numbers that depend on (seed, subject, purpose) and on nothing else."""
    return np.random.default_rng([seed, index, *purpose])


def grid_affine(centre: np.ndarray, spacing: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Affine ``(4, 4)`` of a RAS grid of ``shape`` voxels around ``centre``, mm."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = centre - spacing * (np.asarray(shape) - 1) / 2
    return affine


def grid_points(affine: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, list[np.ndarray]]:
    """World coordinates of the voxels of an axis-aligned grid, ``(3, X, Y, Z)``, and those along each axis, float32."""
    axes = [(affine[i, 3] + affine[i, i] * np.arange(shape[i])).astype(np.float32) for i in range(3)]
    return np.stack(np.meshgrid(*axes, indexing="ij")), axes


def smooth_texture(generator: np.random.Generator, shape: tuple[int, ...], spacing: np.ndarray) -> np.ndarray:
    """Random field of unit variance that changes over about 2 mm."""
    noise = generator.standard_normal(shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, 1.2 / spacing, truncate=2.5)
    return noise / noise.std()


def reoriented(subject: Subject, codes: str) -> Subject:
    """Store the voxels of a subject in another orientation, such as ``"LPS"``; world coordinates do not change."""
    target = nib.orientations.axcodes2ornt(codes)
    transform = nib.orientations.ornt_transform(nib.io_orientation(subject.affine), target)

    def turn(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(nib.orientations.apply_orientation(array, transform))

    return replace(
        subject,
        images={name: turn(image) for name, image in subject.images.items()},
        label=turn(subject.label),
        field=turn(subject.field),
        affine=subject.affine @ nib.orientations.inv_ornt_aff(transform, subject.label.shape),
    )
