"""Bones of the trunk: spine and ribs as patterns that repeat from level to level, pelvis and sternum."""

from functools import cache

import numpy as np
from scipy.interpolate import PchipInterpolator

from ..canvas import Box, Canvas
from ..primitives import Node, angle_from_back, mirrored, smooth_intersection, tube
from .trunk import CAVITY, cavity

# Centres of the vertebral bodies from below: height, how far in front of L1's, and size over L1's.
VERTEBRAE = {
    "S1": (-170.0, -9.0, 1.12),
    "L5": (-138.0, 11.0, 1.12),
    "L4": (-104.0, 18.0, 1.1),
    "L3": (-69.0, 17.0, 1.07),
    "L2": (-34.0, 10.0, 1.04),
    "L1": (0.0, 0.0, 1.0),
    "T12": (30.0, -9.0, 0.96),
    "T11": (58.0, -19.0, 0.93),
    "T10": (85.0, -29.0, 0.89),
    "T9": (111.0, -37.0, 0.85),
    "T8": (136.0, -43.0, 0.82),
    "T7": (160.0, -47.0, 0.79),
    "T6": (183.0, -49.0, 0.76),
    "T5": (206.0, -49.0, 0.74),
    "T4": (228.0, -46.0, 0.72),
    "T3": (249.0, -41.0, 0.7),
    "T2": (270.0, -33.0, 0.68),
    "T1": (290.0, -24.0, 0.66),
    "C7": (308.0, -14.0, 0.64),
}
_SPINE_BOX = ((-52.0, -130.0, -160.0), (52.0, 45.0, 330.0))
_DISC = 0.385  # of the distance between two centres: where a body ends and the disc begins

# Parts behind a body, right side, in L1's size: x, y, and z for a distance of 34 mm between two centres.
PEDICLE: tuple[Node, ...] = ((13, -14, 5, 5), (14, -27, 5, 5))
LAMINA: tuple[Node, ...] = ((14, -30, 3, 4.5), (4, -40, -4, 4.5))
FACETS: tuple[Node, ...] = ((17, -33, 12, 5), (16, -35, -12, 5))
TRANSVERSE: tuple[Node, ...] = ((15, -27, 4, 4), (40, -35, 3, 4))
SPINOUS: tuple[Node, ...] = ((0, -42, -3, 5), (0, -66, -9, 4.5))

# How far a rib has come down, mm, by the angle around the wall from the back, degrees.
RIB_DESCENT = np.array(
    ((0, 0), (12, 0), (30, 24), (45, 52), (60, 78), (75, 98), (90, 112), (105, 120), (125, 127), (180, 127))
)
RIB_ENDS = np.array((40, 62, 97, 112, 126, 138, 142, 142, 142, 142, 142, 142))  # degrees, of the bone, rib 12 upwards
RIB_DEPTH = 5.0  # mm, of a rib's middle from the inside of the wall
COSTAL_MARGIN: tuple[Node, ...] = (  # cartilage of the lower ribs, right side
    (136, 64, -24, 5),
    (118, 102, -6, 6),
    (86, 121, 18, 6.5),
    (48, 130, 44, 7),
    (12, 131, 68, 6.5),
)
SACRUM: tuple[Node, ...] = ((0, -14, -170, 21), (0, -42, -194, 16), (0, -63, -220, 11), (0, -70, -245, 7))
SACRAL_WINGS: tuple[tuple[Node, ...], ...] = (  # right side
    ((14, -20, -168, 15), (46, -46, -176, 15)),
    ((10, -46, -196, 12), (36, -58, -200, 11)),
)
# The wing of the ilium, right side: a curved plate; its back and front end in a horizontal cut, and its crest.
ILIUM_BACK, ILIUM_FRONT = np.array((50.0, -66.0)), np.array((136.0, 62.0))
ILIUM_CREST = -106.0


def paint_skeleton(canvas: Canvas) -> None:
    """Paint all bones in view, with their marrow, discs, cartilage and spinal canal."""
    _paint_ribs(canvas)
    _paint_pelvis(canvas)
    _paint_spine(canvas)


def spine_frame(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where points lie along the spine.

    Args:
        points: Shape ``(3, ...)``, mm.

    Returns:
        Distance in front of the middle of the column in mm, level (0 at the centre of S1's body, 1 at L5's and so on),
        and size of the vertebra over L1's; each shape ``(...)``.
    """
    bottom, table = _spine_table()
    index = np.clip(np.rint(points[2] - np.float32(bottom)), 0, table.shape[1] - 1).astype(np.int32)
    forward = points[1] - table[0][index]
    # Bodies stand across the column: what lies before its bend belongs to a higher or lower level.
    height = points[2] + table[1][index] * forward
    index = np.clip(np.rint(height - np.float32(bottom)), 0, table.shape[1] - 1).astype(np.int32)
    return forward, table[2][index], table[3][index]


@cache
def _spine_table() -> tuple[float, np.ndarray]:
    """Lowest height, and for each millimetre from there: front, its slope, level, size; shape ``(4, millimetres)``."""
    heights, fronts, sizes = np.array(list(VERTEBRAE.values())).T
    axis = np.arange(heights[0] - 40, heights[-1] + 30)
    inside = np.clip(axis, heights[0], heights[-1])
    curve = PchipInterpolator(heights, fronts)
    level = np.interp(axis, heights, np.arange(len(heights)))
    level += (axis - inside) / 30  # beyond the ends
    slope = np.clip(curve.derivative()(inside), -0.5, 0.5)
    table = np.stack([curve(inside), slope, level, np.interp(inside, heights, sizes)])
    return float(axis[0]), table.astype(np.float32)


def _paint_spine(canvas: Canvas) -> None:
    box = canvas.box(*_SPINE_BOX)
    if box is None:
        return
    points = canvas.inside(box)
    forward, level, size = spine_frame(points)
    part = level - np.rint(level)
    local = np.stack([np.abs(points[0]) / size, forward / size, part * 34])
    below = (0.5 - level) * 30  # mm below the lower face of L5
    arch = np.minimum(tube(local, PEDICLE), tube(local, LAMINA))
    for nodes in (FACETS, TRANSVERSE, SPINOUS):
        np.minimum(arch, tube(local, nodes), out=arch)
    _paint_bone(canvas, np.maximum(arch * size, below), box, shell=2.0)

    waist = 1 - 0.12 * np.cos(np.clip(part / _DISC, -1, 1) * np.pi / 2)
    radius = np.sqrt(np.square(local[0] / 24) + np.square(local[1] / 18.5)) / waist
    column = (radius - 1) * 20 * size
    column = np.maximum(column, below)
    canvas.paint(column, "disc", 0, box)
    _paint_bone(canvas, smooth_intersection(column, (np.abs(part) - _DISC) * 34 * size, 3), box, shell=1.6)

    canal = np.sqrt(np.square(local[0] / 12) + np.square((local[1] + 25.5) / 8.5))
    canvas.paint(np.maximum((canal - 1) * 9 * size, below), "spinal fluid", 0, box)
    cord = np.sqrt(np.square(local[0]) + np.square(local[1] + 25)) - 5
    canvas.paint(np.maximum(cord * size, -8 - points[2]), "cord", 0, box)


def _paint_bone(canvas: Canvas, distance: np.ndarray, box: Box, shell: float) -> None:
    """Compact bone around spongy bone."""
    canvas.paint(distance, "bone", 0, box)
    canvas.paint(distance + np.float32(shell), "marrow", 0, box)


def _paint_ribs(canvas: Canvas) -> None:
    """Twelve pairs at once: in the wall, coming down as they go around; cartilage from their ends to the sternum."""
    box = canvas.box((-170, -130, -60), (170, 160, 330))
    if box is None:
        return
    points = canvas.inside(box)
    depth, angle = cavity(points), angle_from_back(points, CAVITY)
    heights = np.array(list(VERTEBRAE.values()))[:, 0]
    levels = np.arange(len(heights)) - list(VERTEBRAE).index("T12")
    descent = np.interp(angle, *RIB_DESCENT.T).astype(np.float32)
    level = np.interp(points[2] + descent, heights, levels).astype(np.float32)
    number = np.clip(np.rint(level), 0, 11)  # 0 for rib 12, 11 for rib 1
    steep = np.interp(angle, (12, 20, 80, 100, 125), (1, 0.62, 0.68, 0.85, 1)).astype(np.float32)
    upright = (level - number) * 26 * steep  # mm across the rib, in the wall
    rib = np.hypot((depth - RIB_DEPTH) / np.float32(0.72), upright) - np.float32(5.6)
    beyond = (angle - RIB_ENDS[number.astype(np.int32)]) * np.float32(1.9)  # mm
    cartilage = np.maximum(np.maximum(rib - 0.5, -beyond), (3.5 - number) * 20)  # of ribs 1 to 8
    canvas.paint(cartilage, "cartilage", 0, box)
    for nodes in (COSTAL_MARGIN, mirrored(COSTAL_MARGIN)):
        canvas.paint_tube(nodes, "cartilage")
    _paint_bone(canvas, np.maximum(np.maximum(rib, beyond), (13 - angle) * 1.5), box, shell=2.0)
    sternum = np.maximum(np.maximum(np.abs(depth - RIB_DEPTH) - 5, np.abs(points[0]) - 19), 90 - angle)
    _paint_bone(canvas, np.maximum(sternum, np.abs(points[2] - 154) - 82), box, shell=1.6)


def _paint_pelvis(canvas: Canvas) -> None:
    for nodes in (SACRUM, *SACRAL_WINGS, *map(mirrored, SACRAL_WINGS)):
        canvas.paint_tube(nodes, "bone")
        canvas.paint_tube(nodes, "marrow", grow=-1.8)
    for sign in (-1, 1):
        low, high = sorted((sign * 36.0, sign * 152.0))
        box = canvas.box((low, -84, -240), (high, 82, ILIUM_CREST + 8))
        if box:
            points = canvas.inside(box)
            _paint_bone(canvas, _ilium(np.stack([sign * points[0], points[1], points[2]])), box, shell=1.8)


def _ilium(points: np.ndarray) -> np.ndarray:
    """Distance in mm to the wing of the right ilium: a plate that bulges, with a thick crest and a thick back end."""
    along = ILIUM_FRONT - ILIUM_BACK
    length = np.float32(np.linalg.norm(along))
    direction = (along / length).astype(np.float32)
    x, y = points[0] - np.float32(ILIUM_BACK[0]), points[1] - np.float32(ILIUM_BACK[1])
    middle = (x * direction[0] + y * direction[1]) / length - np.float32(0.5)  # -0.5 at its back, 0.5 at its front
    arch = 4 * middle * middle
    drop = np.float32(ILIUM_CREST) - points[2]
    bulge = 10 - np.float32(7.5) * arch - np.float32(0.22) * np.maximum(drop - 12, 0)
    across = np.abs(x * direction[1] - y * direction[0] - bulge)
    rim = np.exp(-np.square(np.maximum(drop - 36 * arch, 0) / 9))
    thickness = (
        np.float32(4.5) + np.float32(3.5) * rim + 6 * np.exp(-np.square((middle + np.float32(0.42)) / np.float32(0.13)))
    )
    edge = smooth_intersection(44 * arch - drop, np.abs(middle) * length - 76, 6)
    return smooth_intersection(across - thickness, edge, 5)
