"""A grid on which a template is painted, solid by solid."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from .primitives import Node, tube

Box = tuple[slice, slice, slice]
EVERYWHERE: Box = (slice(None), slice(None), slice(None))


class Canvas:
    """A label map and its noise-free images, painted solid by solid.

    Args:
        points: Shape ``(3, X, Y, Z)``, template coordinates of the voxels in mm.
        width: Size of a voxel in mm, over which a surface is blended (partial volume).
        signals: Signal of each tissue, shape ``(C,)`` for C images.

    Attributes:
        points: Points as above.
        labels: Shape ``(X, Y, Z)``, uint8, zero at first.
        images: Shape ``(C, X, Y, Z)``, float32, air at first.
    """

    def __init__(self, points: np.ndarray, width: float, signals: dict[str, np.ndarray]) -> None:
        self.points, self._width, self._signals = points, np.float32(width), signals
        self.labels = np.zeros(points.shape[1:], np.uint8)
        self.images = np.zeros((len(signals["air"]), *points.shape[1:]), np.float32)
        self.images += signals["air"][:, None, None, None]
        # Range of each template coordinate within each slab of voxels, two arrays (3, slabs) for each axis: finds the
        # voxels that a small solid can touch.
        self._ranges = [(points.min(axis=others), points.max(axis=others)) for others in ((2, 3), (1, 3), (1, 2))]

    def box(self, low: ArrayLike, high: ArrayLike) -> Box | None:
        """Slices of the voxels that may lie between two corners of the template (mm), or None if there are none."""
        lowest, highest = np.asarray(low)[:, None] - 2 * self._width, np.asarray(high)[:, None] + 2 * self._width
        slices = []
        for smallest, largest in self._ranges:
            touched = np.flatnonzero(((largest >= lowest) & (smallest <= highest)).all(axis=0))
            if not len(touched):
                return None
            slices.append(slice(int(touched[0]), int(touched[-1]) + 1))
        return slices[0], slices[1], slices[2]

    def inside(self, box: Box) -> np.ndarray:
        """Template coordinates of the voxels of a box, shape ``(3, x, y, z)``."""
        index = (slice(None), *box)
        return self.points[index]

    def tube(self, nodes: Sequence[Node], margin: float = 0.0) -> tuple[np.ndarray, Box] | None:
        """Distance to a long tube, worked out near it only: each piece in its own box.

        Args:
            nodes: The chain, see ``primitives.tube``.
            margin: Mm; as far as this from its surface, and everywhere within, the distance is right.

        Returns:
            Distance in mm, at least ``margin`` beyond it, and the box that it fills; None if no voxel is near.
        """
        chain = np.array(nodes, np.float64)
        reach = chain[:, 3:] + margin
        box = self.box((chain[:, :3] - reach).min(0), (chain[:, :3] + reach).max(0))
        if box is None:
            return None
        distance = np.full([s.stop - s.start for s in box], margin + 2 * self._width, np.float32)
        for start, stop in pairwise(nodes):
            ends = np.array([start, stop])
            spread = ends[:, 3:] + margin
            piece = self.box((ends[:, :3] - spread).min(0), (ends[:, :3] + spread).max(0))
            if piece:
                part = tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(piece, box, strict=True))
                np.minimum(distance[part], tube(self.inside(piece), (start, stop)), out=distance[part])
        return distance, box

    def paint(self, distance: np.ndarray, tissue: str, label: int, box: Box = EVERYWHERE) -> None:
        """Cover what was painted before where the signed ``distance`` (mm, shape of the box) is negative."""
        cover = np.clip(0.5 - distance / self._width, 0, 1)
        for image, signal in zip(self.images, self._signals[tissue], strict=True):
            part = image[box]
            part += cover * (signal - part)
        self.labels[box][distance < 0] = label

    def paint_tube(self, nodes: Sequence[Node], tissue: str, label: int = 0, grow: float = 0.0) -> None:
        """Paint a tube, thicker by ``grow`` mm."""
        near = self.tube([(x, y, z, radius + grow) for x, y, z, radius in nodes])
        if near:
            distance, box = near
            self.paint(distance, tissue, label, box)
