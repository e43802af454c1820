"""The trunk that all torso kinds share, as data and solids: walls, diaphragm, heart outline, great vessels, muscles.

Millimetres, RAS, origin at the centre of the body of the first lumbar vertebra. Proportions follow the CT of the
TotalSegmentator sample (Apache-2.0) and, above its upper edge, common anatomy.
"""

import numpy as np

from ..primitives import Level, Node, ellipsoid, outline, smooth_intersection, smooth_path, smooth_union, tube

# Cross-sections: height, half width, back, front.
SKIN: tuple[Level, ...] = (
    (-230, 175, -106, 128),
    (-165, 172, -104, 140),
    (-135, 169, -99, 150),
    (-105, 166, -94, 157),
    (-60, 165, -93, 160),
    (-20, 165, -96, 159),
    (20, 165, -97, 157),
    (60, 164, -102, 154),
    (100, 163, -108, 150),
    (150, 162, -114, 144),
    (200, 165, -116, 132),
    (260, 168, -112, 108),
    (320, 150, -96, 70),
)
WALL: tuple[Level, ...] = (  # outside of the muscles
    (-230, 152, -90, 102),
    (-165, 150, -88, 118),
    (-135, 148, -82, 130),
    (-105, 147, -77, 138),
    (-60, 149, -76, 142),
    (-20, 151, -80, 143),
    (20, 153, -83, 142),
    (60, 152, -89, 140),
    (100, 150, -96, 137),
    (150, 145, -103, 130),
    (200, 140, -106, 119),
    (260, 130, -100, 96),
    (320, 105, -84, 60),
)
CAVITY: tuple[Level, ...] = (  # inside of the muscles; above the diaphragm, inside of the rib cage
    (-230, 88, -30, 88),
    (-165, 100, -26, 106),
    (-135, 112, -28, 119),
    (-105, 126, -33, 127),
    (-60, 136, -40, 131),
    (-20, 140, -45, 132),
    (20, 142, -53, 131),
    (60, 140, -66, 128),
    (100, 137, -78, 124),
    (150, 130, -87, 116),
    (200, 120, -88, 104),
    (260, 96, -76, 82),
    (320, 55, -50, 50),
)

TORSO_SCALE = 0.95  # size of a mean torso over that of the template
BACK = tuple((0.0, back, z) for z, _, back, _ in SKIN)  # points of the back, of which one or other lies on the couch
DOMES = (  # of the diaphragm: centre, radii
    ((72, 46, 8), (76, 96, 84)),
    ((-72, 42, 6), (73, 92, 84)),
    ((0, 62, 0), (60, 78, 76)),
)
HEART = ((-20, 66, 134), (60, 48, 50))  # centre, radii of its outline
AORTA: tuple[Node, ...] = (
    (-27, -28, 222, 12.5),
    (-24, -27, 170, 12.5),
    (-20, -15, 125, 12),
    (-15, 0, 85, 11.5),
    (-10, 14, 50, 11),
    (-8, 25, 20, 10.2),
    (-8, 33, -8, 9.6),
    (-10, 41, -38, 9),
    (-11, 47, -72, 8.6),
    (-10, 49, -104, 8.4),
)
ILIAC_ARTERY: tuple[Node, ...] = (
    (0, 48, -102, 5.5),
    (8, 48, -110, 5.5),
    (24, 42, -140, 5.2),
    (44, 30, -172, 5),
    (62, 40, -215, 4.5),
)
VENA_CAVA: tuple[Node, ...] = (
    (14, 43, -112, 9),
    (15, 44, -80, 9.2),
    (17, 45, -48, 9.6),
    (20, 46, -15, 10.2),
    (21, 43, 10, 10),
    (22, 38, 35, 9.8),
    (22, 37, 60, 10),
    (20, 42, 84, 11),
    (16, 52, 108, 12),
)
VENA_CAVA_FLATTENING = 1.35  # wider than deep by that much
ILIAC_VEIN: tuple[Node, ...] = (
    (4, 40, -108, 7.5),
    (10, 38, -116, 7),
    (24, 32, -142, 6.5),
    (42, 20, -175, 6.5),
    (60, 28, -215, 6),
)
ESOPHAGUS: tuple[Node, ...] = (
    (0, -18, 320, 8),
    (-3, -26, 225, 8),
    (-4, 0, 170, 8.5),
    (-8, 10, 135, 8.5),
    (-13, 22, 100, 8.5),
    (-18, 30, 80, 8.5),
    (-30, 34, 64, 8),
)
PSOAS: tuple[Node, ...] = smooth_path(  # right side; below the pelvic brim with the iliacus
    (
        (30, -12, 0, 4),
        (33, -5, -22, 7.5),
        (36, 3, -50, 11.5),
        (41, 11, -80, 14.5),
        (45, 16, -108, 16.5),
        (53, 17, -132, 17.5),
        (68, 16, -160, 20),
        (80, 26, -190, 22),
        (88, 52, -225, 22),
    ),
    20,
)
QUADRATUS: tuple[Node, ...] = ((58, -36, 12, 6), (64, -34, -20, 9), (70, -26, -60, 11), (76, -20, -102, 11))
ERECTOR: tuple[tuple[Node, ...], ...] = (  # right side: the two columns of the back's muscle
    (
        (30, -80, 150, 13),
        (34, -72, 90, 15),
        (36, -62, 30, 20),
        (34, -55, -10, 22),
        (32, -46, -60, 21),
        (33, -45, -105, 22),
        (27, -58, -150, 16),
        (20, -78, -190, 8),
    ),
    (
        (55, -76, 90, 9),
        (62, -64, 30, 14),
        (62, -56, -10, 17),
        (57, -46, -60, 18),
        (56, -43, -100, 17),
        (44, -54, -140, 10),
    ),
)
CRUS: tuple[Node, ...] = ((13, 24, -70, 3), (12, 26, -30, 5), (11, 20, 0, 6), (12, 12, 30, 6), (14, 8, 55, 4))


def skin(points: np.ndarray) -> np.ndarray:
    """Distance to the surface of the body; points ``(3, ...)`` in mm, result ``(...)`` in mm, as all in this file."""
    return outline(points, SKIN)


def wall(points: np.ndarray) -> np.ndarray:
    """Distance to the outside of the muscles of the trunk."""
    return outline(points, WALL)


def cavity(points: np.ndarray) -> np.ndarray:
    """Distance to the inside of the muscles and of the rib cage."""
    return outline(points, CAVITY)


def diaphragm(points: np.ndarray) -> np.ndarray:
    """Distance to the domes: below them is abdomen, above them, within the cavity, lungs and heart."""
    x, y, z = points
    right, left, middle = (
        ellipsoid(np.stack([x, y, np.maximum(z, np.float32(centre[2]))]), centre, radii) for centre, radii in DOMES
    )
    return smooth_union(smooth_union(right, left, 25), middle, 25)


def lung(points: np.ndarray) -> np.ndarray:
    """Distance to both lungs: what wall, diaphragm and mediastinum leave of the chest."""
    column = tube(points, ((0, -16, 0, 26), (0, -26, 60, 26), (0, 6, 300, 34)))
    vessels = tube(points, ((0, 24, 40, 26), (-2, 18, 130, 26)))
    mediastinum = smooth_union(np.minimum(column, heart(points) - 3), vessels, 16)
    recess = 16 + 0.12 * np.abs(points[1]) - points[2]  # how far down the lungs reach
    space = np.maximum(cavity(points) + 1.5, 2.5 - diaphragm(points))
    return smooth_intersection(np.maximum(space, -mediastinum), recess, 6)


def heart(points: np.ndarray) -> np.ndarray:
    """Distance to the outline of the heart."""
    return ellipsoid(points, *HEART, tilt=-20)
