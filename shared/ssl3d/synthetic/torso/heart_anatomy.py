"""The template of a heart as data: labels, chambers, great vessels, coronary arteries, landmarks.

Millimetres, RAS, in the frame of the trunk (origin at the centre of the body of the first lumbar vertebra). Shapes and
places are own assumptions in the usual proportions of a diastolic heart. A solid is a chain of nodes (x, y, z, radius).
"""

from ..primitives import Node, smooth_path
from ..subject import Landmark

LABELS = (  # the seven of MM-WHS, then the tree of the coronary arteries
    "background",
    "left ventricle blood cavity",
    "right ventricle blood cavity",
    "left atrium",
    "right atrium",
    "left ventricle myocardium",
    "ascending aorta",
    "pulmonary artery",
    "coronary artery",
)
ID = {name: index for index, name in enumerate(LABELS)}
CENTRE = (-12.0, 58.0, 146.0)  # of the field of view

LEFT_VENTRICLE: tuple[Node, ...] = ((-17, 56, 142, 21), (-30, 69, 130, 24), (-44, 84, 116, 19), (-56, 97, 105, 8))
MITRAL_PLANE = ((-13.0, 52.0, 146.0), (-0.57, 0.62, -0.54))  # a point of it, and the way to the apex
MYOCARDIUM, RIGHT_WALL, ATRIAL_WALL = 10.0, 3.0, 2.0  # mm
RIGHT_VENTRICLE: tuple[tuple[Node, ...], ...] = (
    ((18, 86, 128, 18), (5, 97, 116, 22), (-22, 110, 104, 15), (-40, 116, 98, 8)),
    ((4, 98, 124, 20), (-12, 98, 148, 15), (-18, 91, 166, 13)),
)
RIGHT_ATRIUM = ((38, 60, 136), (24, 28, 32))  # centre, radii
LEFT_ATRIUM = ((-6, 35, 154), (33, 20, 23))
PULMONARY_VEINS: tuple[tuple[Node, ...], ...] = (
    ((16, 32, 166, 7), (42, 24, 178, 6)),
    ((16, 30, 146, 7), (46, 14, 140, 6)),
    ((-30, 32, 166, 7), (-52, 18, 176, 6)),
    ((-30, 28, 148, 7), (-54, 8, 142, 6)),
)
ASCENDING_AORTA = smooth_path(((-6, 61, 156, 14), (3, 62, 168, 15.5), (10, 57, 190, 14.5), (8, 45, 214, 14)), 8)
AORTIC_ARCH = smooth_path(((8, 45, 214, 14), (-2, 24, 233, 13.5), (-17, -2, 237, 13), (-27, -24, 226, 12.5)), 8)
ARCH_BRANCHES: tuple[tuple[Node, ...], ...] = (
    ((0, 26, 242, 6), (10, 22, 268, 6), (24, 16, 292, 5)),
    ((-8, 12, 246, 4.5), (-14, 10, 275, 4), (-18, 10, 320, 4)),
    ((-18, -4, 246, 5), (-26, -4, 275, 5), (-46, -2, 300, 5)),
)
PULMONARY_ARTERY = smooth_path(((-18, 91, 166, 13), (-18, 76, 184, 13.5), (-15, 52, 198, 13)), 8)
PULMONARY_BRANCHES: tuple[tuple[Node, ...], ...] = (
    ((-15, 48, 198, 11.5), (10, 30, 197, 10.5), (36, 22, 191, 9), (54, 14, 186, 7)),
    ((-15, 50, 199, 11.5), (-34, 26, 207, 10.5), (-54, 6, 200, 8)),
)
SUPERIOR_VENA_CAVA: tuple[Node, ...] = ((29, 42, 252, 8), (29, 45, 215, 9), (31, 48, 185, 9.5), (34, 54, 158, 10))
BRACHIOCEPHALIC_VEINS: tuple[tuple[Node, ...], ...] = (
    ((29, 42, 252, 7.5), (34, 30, 285, 6.5)),
    ((29, 44, 250, 7), (0, 54, 256, 6.5), (-34, 34, 282, 6)),
)
CORONARIES: tuple[tuple[Node, ...], ...] = tuple(
    smooth_path(nodes, 5)
    for nodes in (
        ((-19, 66, 158, 2.4), (-26, 74, 160, 2.3), (-33, 85, 157, 2.2)),  # left main
        ((-33, 85, 157, 2.1), (-42, 100, 143, 2), (-52, 110, 126, 1.8), (-63, 115, 108, 1.5), (-68, 110, 97, 1.2)),
        ((-46, 104, 136, 1.5), (-62, 98, 128, 1.4), (-72, 92, 116, 1.1)),  # diagonal branch of the last
        ((-33, 85, 157, 2), (-49, 66, 157, 1.9), (-58, 50, 146, 1.7), (-58, 45, 128, 1.5), (-52, 46, 112, 1.2)),
        ((-57, 52, 148, 1.5), (-72, 70, 128, 1.4), (-76, 82, 112, 1.1)),  # marginal branch of the last
        ((6, 74, 158, 2.3), (22, 90, 155, 2.2), (40, 93, 138, 2.1), (45, 80, 116, 2), (34, 62, 101, 1.9)),  # right
        ((34, 62, 101, 1.8), (12, 66, 93, 1.6), (-14, 82, 86, 1.4), (-34, 96, 84, 1.1)),  # posterior descending
        ((42, 92, 132, 1.5), (26, 112, 112, 1.3), (4, 124, 100, 1.1)),  # acute marginal
    )
)
LANDMARKS = (
    Landmark("left_ventricle_centre", (-32.0, 71.0, 128.0), "left ventricle blood cavity"),
    Landmark("left_ventricle_tip", (-54.0, 95.0, 107.0), "left ventricle blood cavity"),
    Landmark("left_ventricle_lateral_wall", (-57.0, 60.0, 124.0), "left ventricle myocardium"),
    Landmark("septum", (-22.0, 93.0, 127.0), "left ventricle myocardium"),
    Landmark("right_ventricle_inflow", (20.0, 86.0, 127.0), "right ventricle blood cavity"),
    Landmark("right_ventricle_outflow", (-13.0, 97.0, 150.0), "right ventricle blood cavity"),
    Landmark("right_ventricle_tip", (-24.0, 112.0, 101.0), "right ventricle blood cavity"),
    Landmark("right_atrium_centre", (40.0, 58.0, 136.0), "right atrium"),
    Landmark("left_atrium_centre", (-6.0, 32.0, 156.0), "left atrium"),
    Landmark("left_atrium_right_veins", (20.0, 31.0, 156.0), "left atrium"),
    Landmark("left_atrium_left_veins", (-33.0, 31.0, 156.0), "left atrium"),
    Landmark("aortic_root", (-2.0, 62.0, 158.0), "ascending aorta"),
    Landmark("ascending_aorta_middle", (9.0, 58.0, 186.0), "ascending aorta"),
    Landmark("pulmonary_trunk", (-18.0, 78.0, 182.0), "pulmonary artery"),
    Landmark("pulmonary_bifurcation", (-15.0, 52.0, 198.0), "pulmonary artery"),
    Landmark("left_main_ostium", (-20.0, 67.0, 158.5), "coronary artery"),
    Landmark("left_main_bifurcation", (-33.0, 85.0, 157.0), "coronary artery"),
    Landmark("anterior_descending_middle", (-52.0, 110.0, 126.0), "coronary artery"),
    Landmark("circumflex_middle", (-58.0, 50.0, 146.0), "coronary artery"),
    Landmark("right_coronary_proximal", (22.0, 90.0, 155.0), "coronary artery"),
    Landmark("right_coronary_middle", (45.0, 80.0, 116.0), "coronary artery"),
    Landmark("right_coronary_crux", (34.0, 62.0, 101.0), "coronary artery"),
)
