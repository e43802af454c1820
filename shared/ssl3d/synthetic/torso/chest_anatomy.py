"""The template of a chest as data: airways, fissures of the lungs, vessels of the lungs, shoulder girdle, landmarks.

Millimetres, RAS, in the frame of the trunk (origin at the centre of the body of the first lumbar vertebra). Shapes and
places are own assumptions in the usual proportions. A solid is a chain of nodes (x, y, z, radius).
"""

import numpy as np

from ..primitives import Node, Vector, smooth_path
from ..subject import Landmark

CLASSES = ("healthy", "lobar consolidation", "peripheral ground-glass opacities")
CENTRE = (0.0, 10.0, 165.0)  # of the field of view

TRACHEA: tuple[Node, ...] = ((4, 16, 330, 8.5), (7, 0, 280, 8.5), (7, -12, 240, 8.5), (6, -15, 226, 8.5))
BRONCHI: tuple[tuple[Node, ...], ...] = (
    ((8, -15, 226, 7), (24, -16, 212, 6.5), (42, -12, 202, 5)),
    ((34, -14, 206, 4.5), (50, -8, 218, 3.5), (62, 0, 232, 2.5)),
    ((40, -12, 203, 4.5), (46, -8, 180, 4), (56, 10, 166, 2.8)),
    ((46, -8, 182, 4), (56, -24, 156, 3.2), (66, -34, 128, 2.2)),
    ((4, -15, 226, 6.5), (-22, -16, 212, 6), (-46, -10, 200, 4.8)),
    ((-44, -11, 201, 4.2), (-56, -2, 214, 3.2), (-66, 10, 228, 2.3)),
    ((-46, -10, 200, 4.5), (-56, -18, 174, 3.6), (-68, -30, 140, 2.4)),
)
BRONCHUS_WALL = 1.6  # mm
# Fissures: a point and the way up and forward across it; the horizontal one parts the front of the right lung.
OBLIQUE_FISSURE = ((0.0, 0.0, 158.0), (0.0, 0.62, 0.78))
HORIZONTAL_FISSURE = ((0.0, 60.0, 172.0), (0.0, -0.1, 1.0))
LOBES = ("right upper", "right middle", "right lower", "left upper", "left lower")


RIGHT_ROOT, LEFT_ROOT = (46.0, 6.0, 190.0), (-46.0, 6.0, 190.0)  # of the lungs


def _tree(root: Vector) -> tuple[tuple[Node, ...], ...]:
    """Vessels from the root of a lung to points spread over it."""
    vessels = []
    for number, height in enumerate(np.linspace(-0.9, 0.9, 26)):
        turn, reach = number * np.pi * (3 - 5**0.5), np.sqrt(1 - height**2)
        x, y = np.sign(root[0]) * (80 + 34 * reach * np.cos(turn)), 12 + 80 * reach * np.sin(turn)
        end = np.array((x, y, 172 + 98 * height))
        middle = root + 0.45 * (end - root) + (0, 7 * np.cos(number * 2.0), 9 * np.sin(number * 3.0))
        nodes = np.c_[np.array([root, middle, end]), [4.6, 2.8, 1.2]]
        vessels.append(smooth_path(nodes.tolist(), 22))
    return tuple(vessels)


PULMONARY_TREES = (*_tree(RIGHT_ROOT), *_tree(LEFT_ROOT))
SHOULDER: tuple[tuple[Node, ...], ...] = (  # right side: clavicle, spine and blade of the scapula, raised humerus
    ((18, 84, 250, 7.5), (60, 68, 264, 6), (100, 30, 278, 6), (134, 0, 284, 6.5)),
    ((86, -96, 236, 4), (112, -76, 258, 5.5), (136, -36, 280, 7)),
    ((82, -98, 232, 4), (90, -100, 200, 4), (100, -94, 170, 4)),
    ((86, -98, 222, 4), (118, -72, 244, 4.5)),
    ((138, -10, 266, 20), (150, -4, 300, 14), (156, 0, 345, 12)),
)
LANDMARKS = (
    Landmark("carina", (5.0, -15.0, 226.0), "background"),
    Landmark("trachea_upper", (7.0, 0.0, 280.0), "background"),
    Landmark("right_hilum", (46.0, 6.0, 190.0), "background"),
    Landmark("left_hilum", (-46.0, 6.0, 190.0), "background"),
    Landmark("right_lung_apex", (52.0, -10.0, 292.0), "background"),
    Landmark("left_lung_apex", (-52.0, -10.0, 292.0), "background"),
    Landmark("right_lung_recess", (90.0, -56.0, 36.0), "background"),
    Landmark("left_lung_recess", (-90.0, -56.0, 36.0), "background"),
    Landmark("right_lung_lateral", (124.0, 14.0, 150.0), "background"),
    Landmark("left_lung_lateral", (-124.0, 14.0, 150.0), "background"),
    Landmark("aortic_arch", (-10.0, 11.0, 235.0), "background"),
    Landmark("descending_aorta", (-24.0, -27.0, 170.0), "background"),
    Landmark("heart_tip", (-55.0, 96.0, 106.0), "background"),
    Landmark("right_atrium", (40.0, 58.0, 136.0), "background"),
    Landmark("pulmonary_trunk", (-18.0, 78.0, 182.0), "background"),
    Landmark("liver_dome", (72.0, 46.0, 80.0), "background"),
    Landmark("left_dome", (-72.0, 42.0, 88.0), "background"),
    Landmark("sternum_lower", (0.0, 127.0, 84.0), "background"),
    Landmark("sternum_upper", (0.0, 96.0, 230.0), "background"),
    *(
        Landmark(f"vertebra_{name}", (0.0, front, height), "background")
        for name, front, height in (
            ("T2", -33.0, 270.0),
            ("T4", -46.0, 228.0),
            ("T6", -49.0, 183.0),
            ("T8", -43.0, 136.0),
            ("T10", -29.0, 85.0),
            ("T12", -9.0, 30.0),
        )
    ),
)
