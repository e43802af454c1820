"""Painting the template of an abdomen; every subject is this template read through its deformation.

Later solids cover earlier ones. An organ brings a margin of fat, so that neighbours stay apart where they do in people.
"""

from collections.abc import Sequence

import numpy as np

from ..canvas import Canvas
from ..primitives import Node, ellipsoid, grain, mirrored, smooth_intersection, tube
from .abdomen_anatomy import (
    ADRENALS,
    CELIAC_ARTERY,
    DUODENUM,
    GALLBLADDER,
    HEPATIC_VEINS,
    ID,
    KIDNEY,
    LEFT_KIDNEY,
    MESENTERIC_ARTERY,
    MESENTERIC_VEIN,
    PANCREAS,
    PORTAL_BRANCHES,
    PORTAL_VEIN,
    RENAL_ARTERIES,
    RENAL_PELVIS,
    RENAL_SINUS,
    RENAL_VEINS,
    ROUND_LIGAMENT,
    SPLEEN,
    SPLEEN_HOLLOW,
    SPLENIC_ARTERY,
    SPLENIC_VEIN,
    STOMACH,
    STOMACH_LEVEL,
    STOMACH_WALL,
    URETER,
)
from .bowel import paint_bowel
from .envelope import paint_envelope
from .skeleton import paint_skeleton
from .trunk import AORTA, ESOPHAGUS, ILIAC_ARTERY, ILIAC_VEIN, VENA_CAVA, VENA_CAVA_FLATTENING, cavity, diaphragm


def paint_abdomen(canvas: Canvas) -> None:
    """Paint the whole template on a canvas; touches only the voxels that a solid can reach."""
    paint_envelope(canvas)
    paint_bowel(canvas)
    paint_upper_abdomen(canvas)
    for organ, sign, move in (("right kidney", 1, (0.0, 0.0, 0.0)), ("left kidney", -1, LEFT_KIDNEY)):
        _paint_kidney(canvas, organ, sign, move)
    _paint_glands(canvas)
    _paint_vessels(canvas)
    paint_skeleton(canvas)


def paint_upper_abdomen(canvas: Canvas) -> None:
    """Paint liver, gallbladder, spleen, stomach and duodenum."""
    _paint_liver(canvas)
    _paint_spleen(canvas)
    _paint_stomach(canvas)


def liver(points: np.ndarray) -> np.ndarray:
    """Distance to the liver: what diaphragm and wall leave, above its visceral surface and right of its left edge.

    Args:
        points: Shape ``(3, ...)``, mm.

    Returns:
        Shape ``(...)``, mm.
    """
    x, y, z = points
    under_wall = smooth_intersection(cavity(points) + 3, diaphragm(points) + 3, 8)
    fall = np.maximum(x - 64, 0)  # the right lobe reaches far down at the side
    rise = (
        np.float32(0.75) * np.maximum(62 - y, 0) * np.clip((84 - x) / 30, 0, 1)
    )  # up to the porta and the caudate lobe
    visceral = (-18 - fall + rise - z) * np.float32(0.72)
    left = (48 + np.float32(0.72) * np.maximum(14 - x, 0) - y) * np.float32(0.82) - np.maximum(x - 14, 0)
    left = smooth_intersection(left, np.float32(-60) - x, 12)
    return smooth_intersection(smooth_intersection(under_wall, visceral, 14), left, 12)


def _paint_liver(canvas: Canvas) -> None:
    """Paint the liver with its vessels, and the gallbladder in its bed."""
    box = canvas.box((-75, -60, -110), (150, 150, 110))
    if box:
        solid = liver(canvas.inside(box))
        canvas.paint(solid - 2.5, "visceral fat", 0, box)
        canvas.paint(solid, "liver", ID["liver"], box)
    for branches, tissue in ((PORTAL_BRANCHES, "portal vein"), (HEPATIC_VEINS, "hepatic vein")):
        for nodes in branches:
            near = canvas.tube(nodes)
            if near:
                distance, box = near
                canvas.paint(np.maximum(distance, liver(canvas.inside(box)) + 2), tissue, ID["liver"], box)
    centre, radii = ROUND_LIGAMENT
    box = canvas.box(np.subtract(centre, radii), np.add(centre, radii))
    if box:
        canvas.paint(ellipsoid(canvas.inside(box), centre, radii), "visceral fat", 0, box)
    canvas.paint_tube(GALLBLADDER, "visceral fat", grow=1.5)
    canvas.paint_tube(GALLBLADDER, "gallbladder wall", ID["gallbladder"])
    canvas.paint_tube(GALLBLADDER, "bile", ID["gallbladder"], grow=-1.6)


def _paint_spleen(canvas: Canvas) -> None:
    box = canvas.box((-155, -65, -55), (-40, 65, 85))
    if box is None:
        return
    points = canvas.inside(box)
    under_wall = np.maximum(cavity(points), diaphragm(points)) + 2.5
    solid = smooth_intersection(ellipsoid(points, *SPLEEN), under_wall, 8)
    solid = smooth_intersection(solid, -ellipsoid(points, *SPLEEN_HOLLOW), 10)
    canvas.paint(solid - 2.5, "visceral fat", 0, box)
    canvas.paint(solid, "spleen", ID["spleen"], box)


def _paint_stomach(canvas: Canvas) -> None:
    """Esophagus, stomach with content and gas, duodenum."""
    canvas.paint_tube(DUODENUM, "visceral fat", grow=3)
    canvas.paint_tube(DUODENUM, "bowel wall")
    canvas.paint_tube(DUODENUM, "bowel content", grow=-3)
    canvas.paint_tube(ESOPHAGUS, "visceral fat", grow=3)
    canvas.paint_tube(ESOPHAGUS, "esophagus wall", ID["esophagus"])
    canvas.paint_tube(ESOPHAGUS, "gas", ID["esophagus"], grow=-6)
    near = canvas.tube(STOMACH, margin=3)
    if near:
        solid, box = near
        canvas.paint(solid - 3, "visceral fat", 0, box)
        canvas.paint(solid, "stomach wall", ID["stomach"], box)
        lumen = solid + np.float32(STOMACH_WALL)
        canvas.paint(lumen, "stomach content", ID["stomach"], box)
        canvas.paint(np.maximum(lumen, STOMACH_LEVEL - canvas.inside(box)[1]), "gas", ID["stomach"], box)


def _paint_kidney(canvas: Canvas, organ: str, sign: int, move: tuple[float, float, float]) -> None:
    """Cortex, medulla and sinus in perirenal fat; the pelvis drains into the ureter."""

    def placed(nodes: Sequence[Node]) -> list[Node]:
        return [(sign * x + move[0], y + move[1], z + move[2], radius) for x, y, z, radius in nodes]

    near = canvas.tube(placed(KIDNEY), margin=6)
    if near:
        solid, box = near
        canvas.paint(solid - 6, "visceral fat", 0, box)
        canvas.paint(solid, "kidney cortex", ID[organ], box)
        pyramids = -0.5 - grain(canvas.inside(box), 10)
        canvas.paint(np.maximum(solid + 7, 6 * pyramids), "kidney medulla", ID[organ], box)
    canvas.paint_tube(placed(RENAL_SINUS), "visceral fat")
    canvas.paint_tube(placed(RENAL_PELVIS), "urine")
    canvas.paint_tube(placed(URETER), "urine")


def _paint_glands(canvas: Canvas) -> None:
    """Pancreas, lobulated, and adrenal glands."""
    near = canvas.tube(PANCREAS, margin=3)
    if near:
        solid, box = near
        canvas.paint(solid - 2.5, "visceral fat", 0, box)
        canvas.paint(solid + 1.2 * grain(canvas.inside(box), 6), "pancreas", ID["pancreas"], box)
    for organ, limbs in ADRENALS.items():
        for nodes in limbs:
            canvas.paint_tube(nodes, "visceral fat", grow=3)
        for nodes in limbs:
            canvas.paint_tube(nodes, "adrenal", ID[organ])


def _paint_vessels(canvas: Canvas) -> None:
    for nodes in RENAL_VEINS:
        canvas.paint_tube(nodes, "vena cava")
    _paint_vena_cava(canvas)
    for vessel, tissue in ((ILIAC_VEIN, "vein"), (ILIAC_ARTERY, "artery")):
        for side in (vessel, mirrored(vessel)):
            canvas.paint_tube(side, tissue)
    canvas.paint_tube(MESENTERIC_VEIN, "visceral fat", grow=1.5)
    canvas.paint_tube(MESENTERIC_VEIN, "portal vein")
    for nodes in (MESENTERIC_VEIN[:2], SPLENIC_VEIN, PORTAL_VEIN):
        canvas.paint_tube(nodes, "portal vein", ID["portal vein and splenic vein"])
    for nodes in (CELIAC_ARTERY, SPLENIC_ARTERY, MESENTERIC_ARTERY, *RENAL_ARTERIES):
        canvas.paint_tube(nodes, "artery")
    canvas.paint_tube(AORTA, "visceral fat", grow=2)
    canvas.paint_tube(AORTA, "artery", ID["aorta"])


def _paint_vena_cava(canvas: Canvas) -> None:
    """Wider than deep: the tube of a space that is stretched about its own line."""
    nodes = np.array(VENA_CAVA)
    reach = nodes[:, 3:] * VENA_CAVA_FLATTENING
    box = canvas.box((nodes[:, :3] - reach).min(0), (nodes[:, :3] + reach).max(0))
    if box is None:
        return
    points = canvas.inside(box).copy()
    for axis, stretch in ((0, VENA_CAVA_FLATTENING**-0.5), (1, VENA_CAVA_FLATTENING**0.5)):
        line = np.interp(points[2], nodes[:, 2], nodes[:, axis]).astype(np.float32)
        points[axis] = line + (points[axis] - line) * np.float32(stretch)
    canvas.paint(tube(points, VENA_CAVA), "vena cava", ID["inferior vena cava"], box)
