"""The template of an abdomen as data: labels, the solids of the organs, landmarks.

Millimetres, RAS, origin at the centre of the body of the first lumbar vertebra. A solid is a chain of nodes (x, y, z,
radius). Positions follow the CT of the TotalSegmentator sample (Apache-2.0); ``abdomen_ranges.json`` holds what the
volumes and places of the organs are compared with, and how hard the data set is meant to be.
"""

from ...imaging.organs import ORGANS
from ..primitives import Node, smooth_path
from ..subject import Landmark

LABELS = ORGANS
ID = {name: index for index, name in enumerate(LABELS)}
CENTRE = (0.0, 30.0, -10.0)  # of the field of view

SPLEEN = ((-107, -2, 15), (43, 54, 62))  # centre, radii
SPLEEN_HOLLOW = ((-58, 34, 20), (46, 50, 74))
GALLBLADDER: tuple[Node, ...] = ((60, 66, -4, 4), (64, 74, -12, 9), (69, 84, -22, 15.5), (74, 94, -33, 16))
STOMACH = smooth_path(
    (
        (-56, 10, 63, 22),
        (-61, 18, 51, 30),
        (-65, 41, 34, 29),
        (-60, 69, 10, 25),
        (-44, 86, -10, 21.5),
        (-20, 99, -20, 18),
        (6, 101, -17, 14),
        (22, 94, -10, 9),
    ),
    12,
)
STOMACH_WALL = 4.0  # mm
STOMACH_LEVEL = 78.0  # y of the surface of its content; gas before it, for patients lie on their back
DUODENUM = smooth_path(
    (
        (22, 94, -10, 9),
        (38, 82, -8, 11),
        (46, 66, -16, 11.5),
        (49, 60, -40, 11.5),
        (42, 60, -66, 11),
        (18, 62, -72, 10.5),
        (-8, 64, -68, 10),
        (-30, 64, -54, 11),
        (-36, 74, -40, 11),
    ),
    12,
)
PANCREAS = smooth_path(
    (
        (29, 66, -52, 11),
        (28, 70, -35, 15.5),
        (20, 76, -20, 14.5),
        (6, 81, -10, 10.5),
        (-14, 76, -2, 11),
        (-38, 57, 5, 11.5),
        (-62, 38, 11, 12),
        (-84, 22, 16, 10.5),
    ),
    10,
)
PORTAL_VEIN: tuple[Node, ...] = ((8, 62, -14, 6.6), (14, 62, -4, 7), (24, 65, 8, 7), (36, 69, 19, 7), (48, 70, 26, 6))
SPLENIC_VEIN = smooth_path(
    ((10, 62, -10, 5.5), (-12, 62, -2, 5), (-36, 46, 6, 4.8), (-60, 28, 12, 4.8), (-80, 13, 17, 4.5)), 12
)
MESENTERIC_VEIN: tuple[Node, ...] = ((8, 62, -14, 6), (11, 68, -34, 5.5), (11, 72, -55, 5))
ROUND_LIGAMENT = ((-4, 104, -14), (2.5, 22, 18))  # centre and radii of the fat about it
PORTAL_BRANCHES: tuple[tuple[Node, ...], ...] = (
    ((46, 70, 26, 5), (78, 62, 26, 4.5), (104, 58, 14, 3), (120, 60, -10, 2)),
    ((78, 62, 26, 4), (92, 30, 34, 3), (104, 12, 42, 2)),
    ((46, 70, 26, 4.5), (18, 88, 32, 4), (-8, 100, 26, 3), (-26, 108, 30, 2)),
)
HEPATIC_VEINS: tuple[tuple[Node, ...], ...] = (
    ((22, 40, 80, 6), (56, 26, 66, 5), (92, 14, 44, 4), (112, 10, 20, 2.5)),
    ((22, 42, 80, 6), (48, 66, 64, 4.5), (68, 92, 34, 3.5), (76, 104, 10, 2)),
    ((20, 44, 80, 5), (2, 76, 62, 4), (-22, 102, 46, 2.5)),
)
KIDNEY: tuple[Node, ...] = smooth_path(  # the right one; the left one is its mirror image, moved
    ((56, -5, -9, 20), (62, -1, -24, 25.5), (70, 5, -42, 27), (78, 12, -60, 25.5), (83, 17, -75, 20)), 8
)
LEFT_KIDNEY = (0.0, -3.0, 15.0)  # how far
RENAL_SINUS: tuple[Node, ...] = ((48, 15, -44, 9), (57, 11, -43, 11), (63, 8, -35, 9), (67, 9, -52, 9))
RENAL_PELVIS: tuple[Node, ...] = ((44, 15, -52, 3), (52, 13, -46, 5), (62, 9, -44, 4))
URETER: tuple[Node, ...] = ((44, 15, -52, 2.5), (42, 30, -85, 2.5), (44, 36, -125, 2.5), (46, 30, -165, 2.5))
ADRENALS: dict[str, tuple[tuple[Node, ...], ...]] = {  # the body, then each limb low and high
    "right adrenal gland": (
        ((34, 31, -3, 4), (36, 25, 10, 4.8), (37, 19, 26, 3.8)),
        ((36, 24, 15, 4), (33, 5, 20, 3.3)),
        ((36, 26, 6, 3.8), (34, 10, 9, 3.3)),
        ((36, 24, 12, 4), (46, 7, 16, 3.3)),
        ((36, 26, 4, 3.8), (44, 12, 5, 3.3)),
    ),
    "left adrenal gland": (
        ((-44, 36, -4, 3.8), (-42, 32, 12, 4.6), (-40, 25, 30, 3.6)),
        ((-42, 31, 17, 3.8), (-36, 11, 22, 3.1)),
        ((-43, 32, 6, 3.8), (-38, 16, 11, 3.1)),
        ((-42, 31, 14, 3.8), (-52, 13, 15, 3.1)),
        ((-43, 32, 4, 3.8), (-51, 18, 5, 3.1)),
    ),
}
CELIAC_ARTERY: tuple[Node, ...] = ((-8, 30, 8, 4), (-6, 50, 12, 3.5), (16, 60, 14, 3), (34, 62, 20, 2.5))
SPLENIC_ARTERY: tuple[Node, ...] = ((-6, 50, 12, 3), (-36, 42, 18, 2.8), (-62, 24, 22, 2.6), (-82, 8, 24, 2.5))
MESENTERIC_ARTERY: tuple[Node, ...] = ((-8, 36, -8, 4), (-6, 56, -20, 3.8), (-3, 68, -50, 3.5), (4, 76, -95, 3))
RENAL_ARTERIES: tuple[tuple[Node, ...], ...] = (
    ((-8, 36, -20, 3), (14, 32, -24, 2.8), (46, 14, -40, 2.8)),
    ((-10, 36, -18, 3), (-28, 24, -22, 2.8), (-46, 12, -28, 2.8)),
)
RENAL_VEINS: tuple[tuple[Node, ...], ...] = (
    ((22, 46, -24, 5.5), (36, 30, -34, 5), (48, 16, -42, 4.5)),
    ((18, 48, -20, 5), (-8, 54, -18, 4.5), (-28, 38, -22, 5), (-48, 12, -30, 4.5)),
)


def _mirrored(point: tuple[float, float, float]) -> tuple[float, float, float]:
    return -point[0] + LEFT_KIDNEY[0], point[1] + LEFT_KIDNEY[1], point[2] + LEFT_KIDNEY[2]


_RIGHT_KIDNEY = {"upper_pole": (57.0, -5.0, -18.0), "lateral": (84.0, 4.0, -42.0), "lower_pole": (82.0, 16.0, -76.0)}
LANDMARKS = (
    Landmark("spleen_centre", (-113.0, -8.0, 12.0), "spleen"),
    Landmark("spleen_upper", (-96.0, -14.0, 48.0), "spleen"),
    Landmark("spleen_lower", (-120.0, 2.0, -28.0), "spleen"),
    *(Landmark(f"right_kidney_{name}", point, "right kidney") for name, point in _RIGHT_KIDNEY.items()),
    *(Landmark(f"left_kidney_{name}", _mirrored(point), "left kidney") for name, point in _RIGHT_KIDNEY.items()),
    Landmark("gallbladder_body", (70.0, 86.0, -24.0), "gallbladder"),
    Landmark("esophagus_hiatus", (-14.0, 24.0, 95.0), "esophagus"),
    Landmark("liver_dome", (72.0, 46.0, 80.0), "liver"),
    Landmark("liver_right_tip", (124.0, 56.0, -50.0), "liver"),
    Landmark("liver_left_lobe", (-22.0, 108.0, 36.0), "liver"),
    Landmark("liver_posterior", (92.0, -22.0, 24.0), "liver"),
    Landmark("liver_porta", (58.0, 50.0, 30.0), "liver"),
    Landmark("stomach_fundus", (-59.0, 14.0, 62.0), "stomach"),
    Landmark("stomach_body", (-63.0, 70.0, 12.0), "stomach"),
    Landmark("stomach_antrum", (-8.0, 101.0, -19.0), "stomach"),
    Landmark("aorta_celiac", (-8.0, 27.0, 12.0), "aorta"),
    Landmark("aorta_bifurcation", (-10.0, 48.5, -100.0), "aorta"),
    Landmark("aorta_diaphragm", (-14.0, 3.0, 78.0), "aorta"),
    Landmark("vena_cava_confluence", (14.5, 43.5, -100.0), "inferior vena cava"),
    Landmark("vena_cava_renal", (19.0, 45.8, -24.0), "inferior vena cava"),
    Landmark("vena_cava_hepatic", (22.0, 37.0, 60.0), "inferior vena cava"),
    Landmark("portal_confluence", (9.0, 62.0, -11.0), "portal vein and splenic vein"),
    Landmark("portal_vein_porta", (32.0, 67.5, 16.0), "portal vein and splenic vein"),
    Landmark("pancreas_head", (29.0, 72.0, -34.0), "pancreas"),
    Landmark("pancreas_body", (-16.0, 80.0, -1.0), "pancreas"),
    Landmark("pancreas_tail", (-74.0, 35.0, 14.0), "pancreas"),
    Landmark("right_adrenal", (36.0, 24.0, 10.0), "right adrenal gland"),
    Landmark("left_adrenal", (-42.0, 31.0, 12.0), "left adrenal gland"),
    Landmark("vertebra_T10", (0.0, -29.0, 85.0), "background"),
    Landmark("vertebra_T12", (0.0, -9.0, 30.0), "background"),
    Landmark("vertebra_L1", (0.0, 0.0, 0.0), "background"),
    Landmark("vertebra_L2", (0.0, 10.0, -34.0), "background"),
    Landmark("vertebra_L3", (0.0, 17.0, -69.0), "background"),
    Landmark("vertebra_L4", (0.0, 18.0, -104.0), "background"),
    Landmark("vertebra_L5", (0.0, 11.0, -138.0), "background"),
)
