"""One synthetic head: what is drawn for it, and its images, labels, field and landmarks."""

import numpy as np
from scipy.spatial.transform import Rotation

from ..canvas import Canvas
from ..deformation import Deformation, Expansion
from ..subject import Subject, grid_affine, grid_points, placed, reoriented, smooth_texture, stream
from .anatomy import CENTRE, FRAME, HEAD_SCALE, HIPPOCAMPUS, ID, LABELS, LANDMARKS
from .appearance import CONTRASTS, acquire, tissue_signals
from .painting import paint_head

FIELD_OF_VIEW = 192.0  # mm, of a brain_mri volume
ORIENTATIONS = ("RAS", "LPS", "LAS", "LIA", "PSR")
SLICE_FACTORS = (1.0, 1.0, 1.25, 1.5)  # thickest voxel edge over the others
CROP_SMALLEST, CROP_LARGEST = np.array((31, 40, 24)), np.array((43, 59, 47))  # voxels, as in MSD Task04
HIPPOCAMPUS_LABELS = ("background", "anterior", "posterior")
_SHAPE, _GRID, _TISSUE, _ACQUISITION = range(4)  # streams of random numbers


def brain_subject(seed: int, index: int, size: int, contrasts: tuple[str, ...]) -> Subject:
    """Make a whole head in a field of view of 192 mm: ``size`` voxels per axis, fewer along that of thick slices."""
    deformation = head_deformation(seed, index)
    generator = stream(seed, index, _GRID)
    factors = np.ones(3)
    factors[generator.integers(3)] = generator.choice(SLICE_FACTORS)
    spacing = FIELD_OF_VIEW / size * factors
    shape = np.maximum(np.rint(FIELD_OF_VIEW / spacing), 1).astype(int)
    centre = deformation.to_subject(np.array(CENTRE)) + generator.uniform(-2, 2, 3)
    affine = grid_affine(centre, spacing, shape)
    subject = _render(seed, index, deformation, affine, tuple(shape), contrasts)
    return reoriented(subject, str(generator.choice(ORIENTATIONS)))


def hippocampus_subject(seed: int, index: int, _size: int, contrasts: tuple[str, ...]) -> Subject:
    """Make a 1 mm crop, in RAS, around the right hippocampus of a ``brain_mri`` subject; compute nothing else.

    One side only, as in MSD Task04: left and right are mirror images, which no registration aligns.
    """
    deformation = head_deformation(seed, index)
    generator = stream(seed, index, _GRID)
    nodes = np.array(HIPPOCAMPUS)
    spread = nodes[:, None, 3:] * np.concatenate([np.eye(3), -np.eye(3)])  # (nodes, 6, 3)
    surface = (nodes[:, None, :3] + spread).reshape(-1, 3).T
    world = deformation.to_subject(surface)
    low = np.floor(world.min(axis=1) - generator.integers(4, 9, 3))
    high = np.ceil(world.max(axis=1) + generator.integers(4, 9, 3))
    shape = np.clip(high - low, CROP_SMALLEST, CROP_LARGEST).astype(int)
    affine = grid_affine((low + high) / 2, np.ones(3), shape)
    subject = _render(seed, index, deformation, affine, tuple(shape), contrasts)
    table = np.zeros(len(LABELS), np.uint8)
    table[ID["hippocampus anterior"]], table[ID["hippocampus posterior"]] = 1, 2
    landmarks = {
        name: (point, int(table[label]))
        for name, (point, label) in subject.landmarks.items()
        if name.startswith("right_hippocampus")
    }
    return Subject(subject.images, table[subject.label], subject.field, affine, landmarks)


def head_deformation(seed: int, index: int) -> Deformation:
    """Size, pose, growth of structures, and shape of the subject ``index``."""
    generator = stream(seed, index, _SHAPE)
    rotation = Rotation.from_euler("xyz", generator.normal(0, (5, 2.5, 3)), degrees=True).as_matrix()
    scale = HEAD_SCALE * np.exp(generator.normal(0, 0.025) + generator.normal(0, 0.025, 3))
    matrix = (rotation / scale).T  # subject -> template: back from pose, then from size
    ventricle, hippocampus = np.exp(generator.normal(0, (0.22, 0.07)))
    expansions = []
    for sign in (-1, 1):
        expansions += [
            Expansion((sign * 11.0, 2.0, 18.0), ventricle, 13.0),
            Expansion((sign * 25.0, -42.0, 10.0), ventricle, 9.0),
            Expansion((sign * 28.0, -20.0, -16.0), hippocampus * float(np.exp(generator.normal(0, 0.03))), 14.0),
        ]
    translation = np.array(CENTRE) + generator.normal(0, 4, 3)
    return Deformation(FRAME, generator, matrix, translation, strength=3.2, smoothness=42.0, expansions=expansions)


def _render(
    seed: int,
    index: int,
    deformation: Deformation,
    affine: np.ndarray,
    shape: tuple[int, ...],
    contrasts: tuple[str, ...],
) -> Subject:
    """Read the template at every voxel of a RAS grid."""
    world, axes = grid_points(affine, shape)
    template = deformation.to_template(world)
    signals = tissue_signals(stream(seed, index, _TISSUE))
    chosen = [CONTRASTS.index(name) for name in contrasts]
    spacing = np.diag(affine)[:3]
    width = float(spacing.mean() / HEAD_SCALE)
    canvas = Canvas(template, width, {tissue: signal[chosen] for tissue, signal in signals.items()})
    paint_head(canvas)
    texture = smooth_texture(stream(seed, index, _TISSUE, 1), shape, spacing)
    middle = deformation.to_subject(np.array(CENTRE))
    positions = tuple(axis - np.float32(middle[i]) for i, axis in enumerate(axes))
    images = {
        name: acquire(image, texture, positions, stream(seed, index, _ACQUISITION, number))
        for name, number, image in zip(contrasts, chosen, canvas.images, strict=True)
    }
    field = np.moveaxis(template - world, 0, -1)
    return Subject(images, canvas.labels, field, affine, placed(LANDMARKS, ID, deformation))
