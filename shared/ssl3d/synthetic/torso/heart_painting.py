"""Painting the heart and the great vessels into the trunk's template."""

import numpy as np

from ..canvas import Canvas
from ..primitives import ellipsoid, tube
from .abdomen_painting import paint_upper_abdomen
from .envelope import paint_envelope
from .heart_anatomy import (
    AORTIC_ARCH,
    ARCH_BRANCHES,
    ASCENDING_AORTA,
    ATRIAL_WALL,
    BRACHIOCEPHALIC_VEINS,
    CORONARIES,
    ID,
    LEFT_ATRIUM,
    LEFT_VENTRICLE,
    MITRAL_PLANE,
    MYOCARDIUM,
    PULMONARY_ARTERY,
    PULMONARY_BRANCHES,
    PULMONARY_VEINS,
    RIGHT_ATRIUM,
    RIGHT_VENTRICLE,
    RIGHT_WALL,
    SUPERIOR_VENA_CAVA,
)
from .skeleton import paint_skeleton
from .trunk import AORTA, ESOPHAGUS, VENA_CAVA, diaphragm, heart


def paint_heart_view(canvas: Canvas) -> None:
    """Paint what a scan of the heart shows: the heart in the middle of the chest, above the diaphragm."""
    paint_envelope(canvas)
    paint_upper_abdomen(canvas)
    canvas.labels[:] = 0
    paint_heart(canvas)
    paint_skeleton(canvas)


def paint_heart(canvas: Canvas) -> None:
    """Paint chambers, great vessels and coronary arteries; the trunk must have been painted."""
    _paint_fat(canvas)
    canvas.paint_tube(ESOPHAGUS, "esophagus wall")
    canvas.paint_tube(AORTA, "left heart blood")
    canvas.paint_tube(VENA_CAVA[-5:], "vena cava")
    for nodes in (SUPERIOR_VENA_CAVA, *BRACHIOCEPHALIC_VEINS):
        canvas.paint_tube(nodes, "right heart blood")
    _paint_right_heart(canvas)
    _paint_left_heart(canvas)
    for nodes in (AORTIC_ARCH, *ARCH_BRANCHES):
        canvas.paint_tube(nodes, "left heart blood")
    for nodes in PULMONARY_BRANCHES:
        canvas.paint_tube(nodes, "visceral fat", grow=1.5)
    for nodes in (PULMONARY_ARTERY, *PULMONARY_BRANCHES):
        canvas.paint_tube(nodes, "pulmonary artery", ID["pulmonary artery"])
    canvas.paint_tube(ASCENDING_AORTA[3:], "visceral fat", grow=1.5)  # above the valve
    canvas.paint_tube(ASCENDING_AORTA, "left heart blood", ID["ascending aorta"])
    for nodes in CORONARIES:
        canvas.paint_tube(nodes, "coronary artery", ID["coronary artery"])


def _paint_fat(canvas: Canvas) -> None:
    """Paint the fat around heart and vessels, down to the diaphragm."""
    box = canvas.box((-110, -60, 70), (95, 150, 230))
    if box is None:
        return
    points = canvas.inside(box)
    near = np.minimum(heart(points), tube(points, LEFT_VENTRICLE) - MYOCARDIUM)
    for nodes in RIGHT_VENTRICLE:
        np.minimum(near, tube(points, nodes) - RIGHT_WALL, out=near)
    canvas.paint(np.maximum(near - 5, 3.5 - diaphragm(points)), "visceral fat", 0, box)


def _paint_right_heart(canvas: Canvas) -> None:
    for nodes in RIGHT_VENTRICLE:
        canvas.paint_tube(nodes, "myocardium", grow=RIGHT_WALL)
    _paint_atrium(canvas, RIGHT_ATRIUM, "right heart blood", "right atrium")
    for nodes in RIGHT_VENTRICLE:
        canvas.paint_tube(nodes, "right heart blood", ID["right ventricle blood cavity"])


def _paint_left_heart(canvas: Canvas) -> None:
    point, direction = MITRAL_PLANE
    near = canvas.tube(LEFT_VENTRICLE, margin=MYOCARDIUM)
    if near:
        cavity, box = near
        points = canvas.inside(box)
        before = -sum(np.float32(direction[i]) * (points[i] - np.float32(point[i])) for i in range(3))
        canvas.paint(np.maximum(cavity - MYOCARDIUM, before), "myocardium", ID["left ventricle myocardium"], box)
        canvas.paint(np.maximum(cavity, before - 2), "left heart blood", ID["left ventricle blood cavity"], box)
    _paint_atrium(canvas, LEFT_ATRIUM, "left heart blood", "left atrium")
    for nodes in PULMONARY_VEINS:
        canvas.paint_tube(nodes, "left heart blood", ID["left atrium"])


def _paint_atrium(canvas: Canvas, solid: tuple, tissue: str, organ: str) -> None:
    centre, radii = solid
    outer = np.add(radii, ATRIAL_WALL)
    box = canvas.box(np.subtract(centre, outer), np.add(centre, outer))
    if box:
        distance = ellipsoid(canvas.inside(box), centre, radii)
        canvas.paint(distance - ATRIAL_WALL, "myocardium", 0, box)
        canvas.paint(distance, tissue, ID[organ], box)
