"""One synthetic torso: what is drawn for it, and its image, labels, field and landmarks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..canvas import Canvas
from ..deformation import Deformation, Expansion, Frame, Shift
from ..subject import Subject, grid_affine, grid_points, placed, reoriented, smooth_texture, stream
from .abdomen_painting import paint_abdomen
from .chest_anatomy import CLASSES
from .chest_painting import draw_finding, paint_chest
from .heart_painting import paint_heart_view
from .tissues import add_couch, hounsfield, scan
from .trunk import BACK, TORSO_SCALE, skin
from .views import ABDOMEN, CHEST, HEART, View

ORIENTATIONS = ("RAS", "LPS", "LAS", "LPI", "PSR")
_SHAPE, _GRID, _TISSUE, _ACQUISITION, _FINDING = range(5)  # streams of random numbers


def abdominal_subject(seed: int, index: int, size: int, _contrasts: tuple[str, ...]) -> Subject:
    """Make an abdomen from the lung bases to the pelvis: ``size`` voxels along each axis of a slice."""
    return _subject(ABDOMEN, paint_abdomen, seed, index, size)


def chest_subject(seed: int, index: int, size: int, _contrasts: tuple[str, ...]) -> Subject:
    """Make a chest of the class ``index`` modulo 3: ``size`` voxels along each axis of a slice."""
    category = index % len(CLASSES)
    finding = draw_finding(category, stream(seed, index, _FINDING))
    return replace(_subject(CHEST, lambda canvas: paint_chest(canvas, finding), seed, index, size), category=category)


def heart_subject(seed: int, index: int, size: int, _contrasts: tuple[str, ...]) -> Subject:
    """Make a heart with filled left chambers and coronary arteries: ``size`` voxels along each axis of a slice."""
    return _subject(HEART, paint_heart_view, seed, index, size)


def torso_deformation(seed: int, index: int, view: View) -> Deformation:
    """Size, pose, growth and place of organs, and shape of the subject ``index``."""
    generator = stream(seed, index, _SHAPE)
    rotation = Rotation.from_euler("xyz", generator.normal(0, 3, 3), degrees=True).as_matrix()
    scale = TORSO_SCALE * np.exp(generator.normal(0, 0.03) + generator.normal(0, 0.025, 3))
    matrix = (rotation / scale).T  # subject -> template: back from pose, then from size
    sizes = np.exp(generator.normal(0, [growth.spread for growth in view.growths]))
    ways = generator.normal(0, [move.spread for move in view.moves])
    return Deformation(
        Frame(view.extent, view.spacing, view.centre),
        generator,
        matrix,
        np.array(view.centre) + generator.normal(0, (7, 7, 14)),
        strength=view.strength,
        smoothness=view.smoothness,
        expansions=[
            Expansion(growth.centre, size, growth.width) for growth, size in zip(view.growths, sizes, strict=True)
        ],
        shifts=[
            Shift(move.centre, (move.way[0] * far, move.way[1] * far, move.way[2] * far), move.width)
            for move, far in zip(view.moves, ways, strict=True)
        ],
    )


def _subject(view: View, paint: Callable[[Canvas], None], seed: int, index: int, size: int) -> Subject:
    deformation = torso_deformation(seed, index, view)
    generator = stream(seed, index, _GRID)
    zoom = generator.uniform(0.95, 1.05)
    field_of_view = np.array(view.field_of_view) * (zoom, zoom, 1)
    pixel = field_of_view[0] / size
    spacing = np.array((pixel, pixel, pixel * generator.choice(view.slices)))
    shape = np.maximum(np.rint(field_of_view / spacing), 1).astype(int)
    centre = deformation.to_subject(np.array(view.centre)) + generator.uniform(-1, 1, 3) * view.jitter
    affine = grid_affine(centre, spacing, shape)
    return reoriented(
        _render(view, paint, seed, index, deformation, affine, tuple(shape)), str(generator.choice(ORIENTATIONS))
    )


def _render(
    view: View,
    paint: Callable[[Canvas], None],
    seed: int,
    index: int,
    deformation: Deformation,
    affine: np.ndarray,
    shape: tuple[int, ...],
) -> Subject:
    """Read the template at every voxel of a RAS grid."""
    world, axes = grid_points(affine, shape)
    template = deformation.to_template(world)
    spacing = np.diag(affine)[:3]
    width = float(spacing.mean() / TORSO_SCALE)
    canvas = Canvas(template, width, hounsfield(stream(seed, index, _TISSUE), view.moments))
    paint(canvas)
    hu = canvas.images[0]
    add_couch(hu, axes, back=float(deformation.to_subject(np.array(BACK).T)[1].min()))
    texture = smooth_texture(stream(seed, index, _TISSUE, 1), shape, spacing)
    depth = np.clip(-skin(template) / 100, 0, 1)
    image = scan(hu, texture, depth, spacing, stream(seed, index, _ACQUISITION))
    landmarks = placed(view.landmarks, view.ids, deformation)
    return Subject({"ct": image}, canvas.labels, np.moveaxis(template - world, 0, -1), affine, landmarks)
