"""Painting the template of a chest, healthy or with opacities in the lungs.

Where opacities lie is drawn for each subject: they are no part of the common anatomy, and the field does not map them.
"""

from dataclasses import dataclass

import numpy as np

from ..canvas import Canvas
from ..primitives import Vector, grain, mirrored
from .abdomen_painting import paint_upper_abdomen
from .chest_anatomy import (
    BRONCHI,
    BRONCHUS_WALL,
    CLASSES,
    HORIZONTAL_FISSURE,
    LEFT_ROOT,
    LOBES,
    OBLIQUE_FISSURE,
    PULMONARY_TREES,
    RIGHT_ROOT,
    SHOULDER,
    TRACHEA,
)
from .envelope import paint_envelope
from .heart_painting import paint_heart
from .skeleton import paint_skeleton
from .trunk import cavity, lung


@dataclass(frozen=True)
class Finding:
    """What is in the lungs of a subject.

    Attributes:
        kind: Number of the class, see ``CLASSES``.
        lobe: Number of the consolidated lobe, see ``LOBES``.
        filled: How much of the lobe is consolidated, or how far ground glass spreads; 0 to 1.
        offset: Position at which the pattern of the opacities is read, mm.
    """

    kind: int
    lobe: int
    filled: float
    offset: Vector


def draw_finding(kind: int, generator: np.random.Generator) -> Finding:
    """Draw a finding of the class ``kind`` with random place and extent."""
    lobe, filled = int(generator.integers(len(LOBES))), float(generator.uniform(0.35, 1))
    x, y, z = generator.uniform(0, 900, 3).tolist()
    return Finding(kind, lobe, filled, (x, y, z))


def paint_chest(canvas: Canvas, finding: Finding) -> None:
    """Paint the whole template and the finding. Chests have classes, so no label is left."""
    paint_envelope(canvas)
    _paint_lungs(canvas, finding)
    paint_upper_abdomen(canvas)
    paint_heart(canvas)
    _paint_airways(canvas)
    for nodes in SHOULDER:
        for side in (nodes, mirrored(nodes)):
            canvas.paint_tube(side, "bone")
            canvas.paint_tube(side, "marrow", grow=-2.2)
    paint_skeleton(canvas)
    canvas.labels[:] = 0


def within_lobe(points: np.ndarray, number: int) -> np.ndarray:
    """Distance in mm to the part of space that holds a lobe; points ``(3, ...)`` in mm, result ``(...)``."""
    oblique, horizontal = _above(points, *OBLIQUE_FISSURE), _above(points, *HORIZONTAL_FISSURE)
    right = -points[0]
    parts = {
        "right upper": np.maximum(right, np.maximum(-oblique, -horizontal)),
        "right middle": np.maximum(right, np.maximum(-oblique, horizontal)),
        "right lower": np.maximum(right, oblique),
        "left upper": np.maximum(-right, -oblique),
        "left lower": np.maximum(-right, oblique),
    }
    return parts[LOBES[number]]


def _above(points: np.ndarray, point: Vector, direction: Vector) -> np.ndarray:
    return sum(np.float32(direction[i]) * (points[i] - np.float32(point[i])) for i in range(3))


def _paint_lungs(canvas: Canvas, finding: Finding) -> None:
    """Fissures, opacities, vessels over them."""
    box = canvas.box((-150, -120, 5), (150, 140, 330))
    if box is None:
        return
    points = canvas.inside(box)
    inside = lung(points)
    sheets = np.minimum(np.abs(_above(points, *OBLIQUE_FISSURE)), _right_front(points))
    canvas.paint(np.maximum(sheets - 0.5, inside + 1), "fissure", 0, box)
    if CLASSES[finding.kind] == "lobar consolidation":
        pattern = 6 * grain(points + np.array(finding.offset, np.float32).reshape(3, 1, 1, 1), 22)
        filled = np.maximum(within_lobe(points, finding.lobe) + 1, inside + 0.5)
        canvas.paint(np.maximum(filled, _near_root(points, finding) + pattern), "consolidation", 0, box)
    elif CLASSES[finding.kind] == "peripheral ground-glass opacities":
        pattern = grain(points + np.array(finding.offset, np.float32).reshape(3, 1, 1, 1), 30)
        behind = np.float32(0.007) * (points[1] - 10) + np.float32(0.005) * (points[2] - 150)  # mostly behind and below
        depth = -cavity(points) - (10 + 22 * np.float32(finding.filled))
        patches = 14 * (np.float32(1.1 - finding.filled) + behind - pattern)
        canvas.paint(np.maximum(np.maximum(inside + 1, depth), patches), "ground glass", 0, box)
    for nodes in PULMONARY_TREES:
        canvas.paint_tube(nodes, "pulmonary artery")


def _right_front(points: np.ndarray) -> np.ndarray:
    """Distance to the horizontal fissure: in front of the oblique one, on the right."""
    distance = np.abs(_above(points, *HORIZONTAL_FISSURE))
    return np.maximum(distance, np.maximum(-_above(points, *OBLIQUE_FISSURE), -points[0]))


def _near_root(points: np.ndarray, finding: Finding) -> np.ndarray:
    """Positive (mm) about the root of the lung, which is spared the more the less of the lobe is filled."""
    root = np.array(LEFT_ROOT if LOBES[finding.lobe].startswith("left") else RIGHT_ROOT, np.float32)
    return np.float32(120 * (1 - finding.filled)) - np.sqrt(sum(np.square(points[i] - root[i]) for i in range(3)))


def _paint_airways(canvas: Canvas) -> None:
    for nodes in (TRACHEA, *BRONCHI):
        canvas.paint_tube(nodes, "bronchus wall", grow=BRONCHUS_WALL)
    for nodes in (TRACHEA, *BRONCHI):
        canvas.paint_tube(nodes, "gas")
