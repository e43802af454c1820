"""Signed distances in mm, negative inside, to the solids that the templates are made of."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Vector = tuple[float, float, float]
Node = tuple[float, float, float, float]  # x, y, z, radius


def ellipsoid(points: np.ndarray, centre: Vector, radii: Vector, tilt: float = 0.0) -> np.ndarray:
    """Distance to an ellipsoid, exact at its surface to first order.

    Args:
        points: shape ``(3, ...)``, mm.
        centre, radii: mm.
        tilt: rotation of the ellipsoid about the first axis, in degrees (positive lifts its front).

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
