"""Painting what every torso has around its organs: skin, fat, muscles, lungs, diaphragm, outline of the heart."""

import numpy as np

from ..canvas import Canvas
from ..primitives import grain, mirrored
from .trunk import CRUS, ERECTOR, PSOAS, QUADRATUS, cavity, diaphragm, heart, lung, skin, wall


def paint_envelope(canvas: Canvas) -> None:
    """Paint the trunk without organs: fat fills the cavity, above the diaphragm lungs and the outline of the heart."""
    points = canvas.points
    surface, outside = skin(points), wall(points)
    canvas.paint(surface, "skin", 0)
    canvas.paint(surface + 2, "fat", 0)
    canvas.paint(outside, "muscle", 0)
    canvas.paint(cavity(points), "visceral fat", 0)
    _paint_fat_planes(canvas, outside)
    for nodes in ERECTOR:
        for side in (nodes, mirrored(nodes)):
            canvas.paint_tube(side, "fat", grow=2.5)
    for nodes in (*ERECTOR, QUADRATUS, PSOAS):
        for side in (nodes, mirrored(nodes)):
            canvas.paint_tube(side, "muscle")
    _paint_chest(canvas)
    for side in (CRUS, mirrored(CRUS)):
        canvas.paint_tube(side, "muscle")


def _paint_fat_planes(canvas: Canvas, outside: np.ndarray) -> None:
    """Thin fat between the muscles of the flank and of the buttock; ``outside`` is the distance to their outside."""
    x, y, z = canvas.points
    flank = np.maximum(np.abs(outside + 5.5) - 0.8, np.maximum(z + 4, 70 - np.abs(x)))
    canvas.paint(flank, "fat", 0)
    buttock = np.maximum(np.abs(outside + 20 + 0.1 * y) - 1.4, np.maximum(z + 112, 58 - np.abs(x)))
    canvas.paint(buttock, "fat", 0)


def _paint_chest(canvas: Canvas) -> None:
    box = canvas.box((-150, -120, 5), (150, 140, 330))
    if box is None:
        return
    points = canvas.inside(box)
    dome, lungs, outline = diaphragm(points), lung(points), heart(points)
    canvas.paint(np.maximum(cavity(points), np.abs(dome - 1.2) - 1.6), "muscle", 0, box)  # the diaphragm
    canvas.paint(lungs, "lung", 0, box)
    thread = 13 * np.hypot(grain(points, 15), grain(points[[1, 2, 0]] + np.float32(97), 15))
    canvas.paint(np.maximum(thread - 2.2, lungs + 4), "vein", 0, box)
    canvas.paint(np.maximum(outline - 2, 3 - dome), "visceral fat", 0, box)
    muscle = np.maximum(outline, 4 - dome)
    canvas.paint(muscle, "myocardium", 0, box)
    canvas.paint(muscle + 11, "left heart blood", 0, box)
