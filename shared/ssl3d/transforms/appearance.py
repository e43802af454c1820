"""Corrupt images for self-restoration: local shuffling, a monotone intensity map, in-painting."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .sampling import Draws, check_size, random_states

SHUFFLED_BOXES = 5000
PAINTED_BOXES = 30
BINS = 4096  # steps of the intensity map
SAMPLES = 10000  # points of the Bézier curve from which the map is made


class AppearanceParameters(NamedTuple):
    """Parameters from :meth:`AppearanceAugmentation.sample` for B items of one size, on the CPU.

    Attributes:
        corners: (B, n) int64, index of the first voxel of each shuffled box in the flattened volume.
        permutation: (B, e) int64, source of each of the e voxels of a box; in order for items without shuffling.
        curves: (B, C, 4097) float32, new intensities of 0, 1/4096, ..., 1.
        paint: (B, 1, D, H, W) float32, noise in [0, 1) within the painted boxes, -1 elsewhere.
    """

    corners: Tensor
    permutation: Tensor
    curves: Tensor
    paint: Tensor


class AppearanceAugmentation:
    """The corruption of GVSL: local shuffling, then a monotone intensity map, then in-painting, for whole batches.

    - *Shuffling*: the voxels of 5000 boxes, each a twentieth of the volume along each axis, are permuted, all by the
      same permutation. In overlaps the last box counts. About a third of the voxels change. The release has no effect
      below 20 voxels and no visible effect below 40. Here a box has at least two voxels along each axis, and small
      volumes get fewer boxes, so that the share of changed voxels stays the same.
    - *Intensity*: a cubic Bézier curve from (0, 0) to (1, 1) with two random control points. Abscissas and ordinates
      are sorted separately, so that the map always increases. Each channel has its own map.
    - *In-painting*: up to 30 boxes of uniform noise, a tenth to a fifth of the volume along each axis.

    Boxes, permutation and noise are the same in all channels.

    Args:
        shuffling: Probability that an item is shuffled.
        intensity: Probability that a channel's intensities are mapped.
        painting: Probability, before each box, that one more is painted.

    Raises:
        ValueError: a probability outside [0, 1].

    Source: GVSL (arXiv:2303.00874), its released code, after Zhou et al., Models Genesis
    (arXiv:1908.06912).

    Example:
        >>> image = torch.rand(2, 1, 32, 48, 32)
        >>> augmentation = AppearanceAugmentation()
        >>> corrupted = augmentation.apply(image, augmentation.sample([0, 1], (32, 48, 32), seed=0))
    """

    def __init__(self, *, shuffling: float = 0.8, intensity: float = 0.9, painting: float = 0.95) -> None:
        for name, value in {"shuffling": shuffling, "intensity": intensity, "painting": painting}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability in [0, 1], got {value}.")
        self.shuffling, self.intensity, self.painting = shuffling, intensity, painting

    def sample(self, draws: Draws, size: Sequence[int], seed: int, channels: int = 1) -> AppearanceParameters:
        """Draw the parameters of a batch for images of ``size`` (D, H, W).

        Args:
            draws: (B,) draw numbers; each item's parameters are a function of (seed, draw, size, channels).
            size: (D, H, W) in voxels, at least 10 along each axis.
            seed: Seed of the run.
            channels: Number of channels of the images.

        Raises:
            ValueError: draws or sizes of another form, fewer than one channel.
        """
        size = check_size(size, smallest=10)  # below, a painted box would be empty
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}.")
        items = []
        for state in random_states(seed, draws, "appearance augmentation"):
            corners, permutation = self._sample_shuffling(state, size)
            curves = np.stack([self._sample_curve(state) for _ in range(channels)])
            items.append((corners, permutation, curves.astype(np.float32), self._sample_paint(state, size)[None]))
        return AppearanceParameters(*(torch.from_numpy(np.stack(values)) for values in zip(*items, strict=True)))

    def apply(self, image: Tensor, parameters: AppearanceParameters) -> Tensor:
        """Return the corrupted image, in [0, 1].

        Args:
            image: (B, C, D, H, W), floating point, in [0, 1]; values outside are clamped.
            parameters: Parameters of B items, drawn for the size and the channels of ``image``.

        Returns:
            Shape, dtype and device of ``image``.

        Raises:
            ValueError: a shape that the parameters were not drawn for, or an image of integers.
        """
        batch, channels = parameters.curves.shape[:2]
        size = check_size(parameters.paint.shape[2:])
        if tuple(image.shape) != (batch, channels, *size):
            raise ValueError(f"The parameters are for shape {(batch, channels, *size)}, got {tuple(image.shape)}.")
        if not image.is_floating_point():
            raise ValueError(f"image must be of a floating-point type, got {image.dtype}.")
        corners, permutation, curves, paint = (values.to(image.device) for values in parameters)
        values = image.flatten(2).to(torch.promote_types(image.dtype, torch.float32))  # (B, C, D·H·W)
        source = shuffled_positions(corners, permutation, size)  # (B, D·H·W)
        values = values.gather(2, source[:, None].expand_as(values))
        values = map_intensities(values, curves).view(image.shape)
        return torch.where(paint < 0, values, paint.to(values)).to(image.dtype)

    def _sample_shuffling(
        self, state: np.random.RandomState, size: tuple[int, int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        edge = _box_edge(size)
        # 5000 boxes of a twentieth hold at most 5/8 of the volume's voxels, counted twice where they overlap.
        boxes = min(SHUFFLED_BOXES, 5 * prod(size) // (8 * prod(edge)))
        if state.random_sample() >= self.shuffling:
            return np.zeros(boxes, np.int64), np.arange(prod(edge))
        corner = [state.randint(0, length - e, boxes) for length, e in zip(size, edge, strict=True)]
        return np.ravel_multi_index(corner, size), state.permutation(prod(edge))

    def _sample_curve(self, state: np.random.RandomState) -> np.ndarray:
        if state.random_sample() >= self.intensity:
            return np.linspace(0, 1, BINS + 1)
        return intensity_curve(state.random_sample((2, 2)))

    def _sample_paint(self, state: np.random.RandomState, size: tuple[int, int, int]) -> np.ndarray:
        paint = np.full(size, -1, np.float32)
        for _ in range(PAINTED_BOXES):
            if state.random_sample() >= self.painting:
                break
            edge = [state.randint(length // 10, length // 5) for length in size]
            corner = [state.randint(3, length - e - 3) for length, e in zip(size, edge, strict=True)]
            box = tuple(slice(c, c + e) for c, e in zip(corner, edge, strict=True))
            paint[box] = state.random_sample(edge)
        return paint


def shuffled_positions(corners: Tensor, permutation: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Return the source voxel (B, D·H·W) of each voxel when boxes are permuted; the last of several boxes counts.

    Args:
        corners: (B, n), index of the first voxel of each box in the flattened volume, in the order of writing.
        permutation: (B, e), see :class:`AppearanceParameters`.
        size: (D, H, W); the boxes' edges are a twentieth of it, at least 2.
    """
    batch, device = corners.shape[0], corners.device
    axes = [torch.arange(e, device=device) for e in _box_edge(size)]
    i, j, k = torch.meshgrid(*axes, indexing="ij")
    offsets = ((i * size[1] + j) * size[2] + k).flatten()  # (e,)
    written = (corners[:, :, None] + offsets).flatten(1)  # (B, n·e)
    read = (corners[:, :, None] + offsets[permutation][:, None]).flatten(1)  # (B, n·e)
    order = torch.arange(written.shape[1], device=device).expand_as(written)
    last = torch.full((batch, prod(size)), -1, device=device).scatter_reduce(1, written, order, "amax")
    return torch.where(last < 0, torch.arange(prod(size), device=device), read.gather(1, last.clamp(min=0)))


def bezier_curve(control: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample abscissas and ordinates of the cubic Bézier curve from (0, 0) to (1, 1).

    Args:
        control: (2, 2), the two control points between, each (x, y).
        samples: Number of points on the curve.
    """
    t = np.linspace(0, 1, samples)
    weights = np.stack([3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])  # the first end point is the origin
    x, y = np.concatenate([control, np.ones((1, 2))]).T @ weights
    return x, y


def intensity_curve(control: np.ndarray) -> np.ndarray:
    """Return the increasing curve from [0, 1] to [0, 1] of two control points (2, 2), at 4097 equal steps."""
    x, y = bezier_curve(control, SAMPLES)
    return np.interp(np.linspace(0, 1, BINS + 1), np.sort(x), np.sort(y))


def map_intensities(values: Tensor, curves: Tensor) -> Tensor:
    """Map ``values`` (B, C, N), clamped to [0, 1], by ``curves`` (B, C, K), with linear interpolation."""
    curves = curves.to(values.dtype)
    position = values.clamp(0, 1) * (curves.shape[2] - 1)
    low = position.long().clamp(0, curves.shape[2] - 2)
    return torch.lerp(curves.gather(2, low), curves.gather(2, low + 1), position - low)


def _box_edge(size: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(max(2, length // 20) for length in size)
