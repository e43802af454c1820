"""Signed distances in mm, negative inside, to the solids that the templates are made of."""

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicSpline, PchipInterpolator

Vector = tuple[float, float, float]
Node = tuple[float, float, float, float]  # x, y, z, radius
Level = tuple[float, float, float, float]  # z, half width, back, front


def ellipsoid(points: np.ndarray, centre: Vector, radii: Vector, tilt: float = 0.0) -> np.ndarray:
    """Distance to an ellipsoid, exact at its surface to first order.

    Args:
        points: Shape ``(3, ...)``, mm.
        centre: Centre of the ellipsoid, mm.
        radii: Half axes of the ellipsoid, mm.
        tilt: Rotation of the ellipsoid about the first axis, in degrees (positive lifts its front).

    Returns:
        Shape ``(...)``, mm.

    Source: I. Quilez, "Ellipsoid - SDF" (iquilezles.org/articles/ellipsoids), the bound ``k0 (k0 - 1) / k1``.
    """
    x, y, z = (points[axis] - np.float32(centre[axis]) for axis in range(3))
    if tilt:
        cosine, sine = np.float32(np.cos(np.radians(tilt))), np.float32(np.sin(np.radians(tilt)))
        y, z = cosine * y + sine * z, cosine * z - sine * y
    a, b, c = ((value / np.float32(radius)) for value, radius in zip((x, y, z), radii, strict=True))
    k0 = np.sqrt(a * a + b * b + c * c) + np.float32(1e-6)
    a, b, c = ((value / np.float32(radius)) for value, radius in zip((a, b, c), radii, strict=True))
    k1 = np.sqrt(a * a + b * b + c * c) + np.float32(1e-6)
    return k0 * (k0 - 1) / k1


def tube(points: np.ndarray, nodes: Sequence[Node]) -> np.ndarray:
    """Distance to a chain of rounded cones through ``nodes``; points ``(3, ...)`` in mm, result ``(...)`` in mm."""
    distance = np.full(points.shape[1:], np.inf, points.dtype)
    for start, stop in pairwise(nodes):
        along, across = _project(points, start, stop)
        np.minimum(distance, across - (np.float32(start[3]) + np.float32(stop[3] - start[3]) * along), out=distance)
    return distance


def mirrored(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Mirror a chain to the other side of the body."""
    return tuple((-x, y, z, radius) for x, y, z, radius in nodes)


def smooth_path(nodes: Sequence[Node], step: float) -> tuple[Node, ...]:
    """Smooth a chain: a cubic spline through its nodes, cut about every ``step`` mm."""
    values = np.array(nodes, np.float64)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(values[:, :3], axis=0), axis=1))])
    dense = CubicSpline(along, values)(np.linspace(0, along[-1], max(round(along[-1] / step), len(nodes)) + 1))
    return tuple((float(x), float(y), float(z), float(radius)) for x, y, z, radius in dense)


def outline(points: np.ndarray, levels: tuple[Level, ...]) -> np.ndarray:
    """Distance to a trunk that is given by its cross-sections, along the ray from the section's centre.

    Args:
        points: Shape ``(3, ...)``, mm.
        levels: Ascending in z; between them the sections change smoothly, beyond them they stay. A section is the
            superellipse of power 2.5, symmetric about x = 0, between ``back`` and ``front``.

    Returns:
        Shape ``(...)``, mm.
    """
    x, y, width, depth = _within_section(points, levels)
    x, y = np.abs(x), np.abs(y) + np.float32(1e-2)  # never the middle itself, from which rays go everywhere
    u, v = x / width, y / depth
    relative = (u * u * np.sqrt(u) + v * v * np.sqrt(v)) ** np.float32(0.4)
    return np.hypot(x, y) * (1 - 1 / relative)


def angle_from_back(points: np.ndarray, levels: tuple[Level, ...]) -> np.ndarray:
    """How far around a trunk points lie, either side alike: 0 at the back, 90 at the side, 180 degrees in front.

    Args:
        points: Shape ``(3, ...)``, mm.
        levels: See ``outline``.

    Returns:
        Shape ``(...)``, degrees.
    """
    x, y, width, depth = _within_section(points, levels)
    return np.degrees(np.arctan2(np.abs(x) / width, -y / depth))


def grain(points: np.ndarray, size: float) -> np.ndarray:
    """Evaluate a fixed random function of about unit variance that varies over ``size`` mm at ``(3, ...)`` mm."""
    return ndimage.map_coordinates(_lattice(), points / np.float32(size), order=1, mode="grid-wrap") / np.float32(0.55)


@cache
def _lattice() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((32, 32, 32), dtype=np.float32)


def _within_section(points: np.ndarray, levels: tuple[Level, ...]) -> tuple[np.ndarray, ...]:
    """Offsets x and y from the middle of the section at the height of each point, its half width and half depth; mm."""
    table = _sections(levels)
    index = np.clip(np.rint(points[2] - np.float32(levels[0][0])), 0, table.shape[1] - 1).astype(np.int32)
    return points[0], points[1] - table[1][index], table[0][index], table[2][index]


@lru_cache
def _sections(levels: tuple[Level, ...]) -> np.ndarray:
    """Half width, middle and half depth of the sections, one a millimetre; shape ``(3, millimetres)``, float32."""
    z, width, back, front = np.array(levels).T
    sections = PchipInterpolator(z, np.stack([width, (back + front) / 2, (front - back) / 2], axis=1))
    return sections(np.arange(z[0], z[-1] + 1)).T.astype(np.float32)


def _project(points: np.ndarray, start: Node, stop: Node) -> tuple[np.ndarray, np.ndarray]:
    """Position along a segment, 0 to 1, and distance from it in mm."""
    axis = np.subtract(stop[:3], start[:3]).astype(np.float32)
    offset = [points[i] - np.float32(start[i]) for i in range(3)]
    along = sum(offset[i] * axis[i] for i in range(3)) / np.float32(axis @ axis)
    along = np.clip(along, 0, 1)
    across = np.sqrt(sum(np.square(offset[i] - along * axis[i]) for i in range(3)))
    return along, across


def smooth_union(first: np.ndarray, second: np.ndarray, radius: float) -> np.ndarray:
    """Union of two solids whose seam is filled over ``radius`` mm (polynomial smooth minimum)."""
    overlap = np.maximum(np.float32(radius) - np.abs(first - second), 0) / np.float32(radius)
    return np.minimum(first, second) - overlap * overlap * np.float32(radius / 4)


def smooth_intersection(first: np.ndarray, second: np.ndarray, radius: float) -> np.ndarray:
    """Intersection of two solids with its edge rounded over ``radius`` mm."""
    return -smooth_union(-first, -second, radius)
