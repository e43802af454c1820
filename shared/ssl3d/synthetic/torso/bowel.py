"""Small bowel and colon of the torso template: unlabelled, with walls, content and gas."""

import numpy as np

from ..canvas import Canvas
from ..primitives import grain, smooth_intersection, smooth_path
from .trunk import cavity

COLON_STEP = 8.0  # mm between its nodes
COLON = smooth_path(
    (
        (86, 62, -146, 21),
        (92, 62, -122, 24),
        (99, 58, -90, 22),
        (101, 60, -62, 21),
        (94, 84, -44, 20),
        (70, 104, -50, 19),
        (36, 112, -60, 19),
        (-4, 113, -64, 18),
        (-44, 108, -52, 18),
        (-80, 100, -20, 18),
        (-100, 92, 14, 19),
        (-113, 76, 30, 19),
        (-124, 62, 6, 17),
        (-125, 52, -24, 15.5),
        (-122, 40, -54, 15),
        (-119, 34, -86, 15),
        (-113, 42, -120, 15),
        (-96, 52, -150, 15),
        (-68, 60, -172, 16),
        (-38, 50, -192, 16),
    ),
    COLON_STEP,
)
COLON_WALL, BOWEL_WALL = 2.6, 2.4  # mm
BOWEL_RADIUS = 10.5  # mm, on average
PITCH, ROW = np.float32(29.0), np.float32(25.0)  # mm between neighbouring loops, in a row and from row to row
WOBBLE = np.array(  # along x, y and z, two waves each: wave vector in radians a mm, phase, and size in mm
    (
        ((0.0, 0.055, 0.04, 0.3, 13.0), (0.03, -0.02, 0.075, 1.1, 7.0)),
        ((0.06, 0.0, 0.03, 2.2, 11.0), (-0.035, 0.03, 0.07, 0.2, 7.0)),
        ((0.05, 0.045, 0.0, 4.0, 13.0), (0.075, -0.04, 0.02, 2.9, 7.0)),
    ),
    np.float32,
)


def paint_bowel(canvas: Canvas) -> None:
    """Paint the loops of the small bowel, and the colon over them."""
    _paint_small_bowel(canvas)
    _paint_colon(canvas)


def _paint_small_bowel(canvas: Canvas) -> None:
    box = canvas.box((-130, 10, -240), (130, 135, -5))
    if box is None:
        return
    points = canvas.inside(box)
    x, y, z = points
    behind = 58 - np.float32(0.008) * np.square(np.maximum(np.abs(x) - 15, 0)) - y
    behind = np.maximum(behind, 28 - y) - np.float32(0.4) * np.maximum(-105 - z, 0)  # the pelvis is open
    above = (z + 46 + np.float32(0.3) * x - np.float32(0.15) * (y - 90)) * np.float32(0.9)
    region = smooth_intersection(smooth_intersection(cavity(points) + 6, behind, 12), above, 16)
    thread = 11 * np.hypot(grain(points, 13), grain(points[[1, 2, 0]] + np.float32(61), 13))
    canvas.paint(np.maximum(thread - 1.8, region), "vein", 0, box)  # vessels of the mesentery
    loops, content = _loops(points)
    loops = smooth_intersection(loops, region, 6)
    canvas.paint(loops, "bowel wall", 0, box)
    lumen = loops + np.float32(BOWEL_WALL)
    canvas.paint(np.maximum(lumen, 1 - 4 * content), "bowel content", 0, box)
    canvas.paint(np.maximum(lumen, np.maximum(9 - 6 * content, 90 - y)), "gas", 0, box)


def _loops(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (mm) to loops of small bowel, and a smooth choice of what they hold, of about unit variance.

    Parallel tubes, packed like pencils, are read through a fixed smooth wobble: they wind, and never meet.
    """
    moved = points.copy()
    for point, waves in zip(moved, WOBBLE, strict=True):
        for *vector, phase, size in waves:
            point += size * np.sin(np.tensordot(np.float32(vector), points, axes=1) + phase)
    x, y, z = moved
    across, over = (x - z) * np.float32(0.7), y + np.float32(0.2) * (x + z)
    row = np.rint(over / ROW)
    column = across / PITCH + row / 2
    offset = np.hypot((column - np.rint(column)) * PITCH, over - row * ROW)
    along, number = x + z, np.rint(column)
    thick = BOWEL_RADIUS + np.float32(2.5) * np.sin(along * np.float32(0.05) + row * 2 + number * 3)
    content = np.float32(1.4) * np.sin(along * np.float32(0.022) + row * 5 + number * 7)
    return offset - thick, content


def _paint_colon(canvas: Canvas) -> None:
    """With haustra; gas collects in front, and stool with bubbles fills the rest."""
    along = np.arange(len(COLON))
    haustra = 1 + 0.1 * np.sin(along * COLON_STEP * 2 * np.pi / 34)
    nodes = [(x, y, z, radius * float(factor)) for (x, y, z, radius), factor in zip(COLON, haustra, strict=True)]
    near = canvas.tube(nodes, margin=4)
    if near is None:
        return
    distance, box = near
    canvas.paint(distance - 3, "visceral fat", 0, box)
    canvas.paint(distance, "bowel wall", 0, box)
    lumen = distance + COLON_WALL
    canvas.paint(lumen, "stool", 0, box)
    points = canvas.inside(box)
    canvas.paint(np.maximum(lumen + 1.5, 4.5 - 4 * grain(points, 5.5)), "gas", 0, box)
    canvas.paint(np.maximum(lumen, 106 - points[1]), "gas", 0, box)
