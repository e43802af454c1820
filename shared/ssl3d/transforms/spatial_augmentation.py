"""Deform whole batches by random affine and elastic maps, with one resampling."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..geometry import affine_flow, affine_matrix, warp_flow
from .sampling import Draws, check_size, random_states

# Control points of unit variance give a field of this variance, on average over the positions between them: the mean
# of the sum of squared cubic B-spline weights is 151/315 along each axis.
VARIANCE = (151 / 315) ** 3
# A uniform cubic B-spline map does not fold if all control points move by less than this share of their spacing (Choi
# and Lee, Injectivity conditions of 2D and 3D uniform cubic B-spline functions, Graphical Models 62, 2000).
INJECTIVE = 1 / 2.479472335
LARGEST_ELASTIC = INJECTIVE * math.sqrt(VARIANCE / 3)  # standard deviation, as a share of the spacing


class SpatialParameters(NamedTuple):
    """Parameters from :meth:`SpatialAugmentation.sample`, float32 on the CPU, for B items, d x h x w control points.

    Attributes:
        matrix: (B, 3, 4), output to input coordinates in voxels about the centre.
        control: (B, 3, d, h, w), displacements of the control points in voxels along D, H, W.
    """

    matrix: Tensor
    control: Tensor


class SpatialAugmentation:
    """Affine and elastic deformation of GVSL: every part is always applied, one field for all volumes of an item.

    A volume is warped by the matrix ``H · S · Rz · Ry · Rx`` with its translation, then by the elastic field. The two
    are fused, so that the volume is resampled once. The map never folds, because arguments that may fold are refused.

    The elastic field is a cubic B-spline with uniform random control points. The release filters uniform noise on the
    full grid by a Gaussian of U(10, 13) voxels and multiplies it by U(0, 512), which gives a standard deviation of
    U(0, 1.15) voxels on average. A cubic B-spline of spacing ``√3 · width`` has the correlation of the Gaussian, and
    the bounds on its control points prevent folding. Unlike in the release, the field does not fade near the faces of
    the volume, and its width is the same in all draws.

    Args:
        rotation: Largest angle about each axis in radians.
        scale: Largest deviation of the scale factors from 1.
        shear: Largest of the six shear angles in radians.
        translation: Largest shift along each axis, as a fraction of the extent.
        elastic: Largest standard deviation of the elastic displacement along each axis in voxels, over the draws.
        elastic_spacing: Distance between the control points in voxels; the correlation falls to 1/e at 1.15 of it.

    Raises:
        ValueError: a negative range; one that may fold: a scale of 1 or more, a shear of ``atan(1/2)`` or more, an
            ``elastic`` above 0.077 of ``elastic_spacing``.

    Source: GVSL (arXiv:2303.00874), its released code, with one resampling instead of two and
    without the half voxel that the release adds along even axes.

    Example:
        >>> augmentation = SpatialAugmentation()
        >>> parameters = augmentation.sample([0, 1], (32, 48, 32), seed=0)
        >>> image, mask = torch.rand(2, 1, 32, 48, 32), torch.ones(2, 1, 32, 48, 32, dtype=torch.bool)
        >>> image, mask = augmentation.apply(parameters, image, mask)
    """

    def __init__(
        self,
        *,
        rotation: float = math.pi / 9,
        scale: float = 0.25,
        shear: float = math.pi / 18,
        translation: float = 0.05,
        elastic: float = 1.15,
        elastic_spacing: float = 20.0,
    ) -> None:
        ranges = {"rotation": rotation, "scale": scale, "shear": shear, "translation": translation, "elastic": elastic}
        for name, value in ranges.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be 0 or more, got {value}.")
        if scale >= 1:
            raise ValueError(f"scale must be below 1, or factors reach 0, got {scale}.")
        if math.tan(shear) >= 0.5 or shear >= math.pi / 2:
            raise ValueError(
                f"shear must be below atan(1/2) = 0.464, or volumes may be turned inside out, got {shear}."
            )
        if not 0 < elastic_spacing < math.inf:
            raise ValueError(f"elastic_spacing must be above 0, got {elastic_spacing}.")
        if elastic >= LARGEST_ELASTIC * elastic_spacing:
            raise ValueError(
                f"elastic must be below {LARGEST_ELASTIC:.3f} of elastic_spacing = {elastic_spacing}, or volumes may "
                f"fold, got {elastic}."
            )
        self.rotation, self.scale, self.shear, self.translation = rotation, scale, shear, translation
        self.elastic, self.elastic_spacing = elastic, elastic_spacing

    def sample(
        self, draws: Draws, size: Sequence[int], seed: int, purpose: str = "spatial augmentation"
    ) -> SpatialParameters:
        """Draw the parameters of a batch for volumes of ``size`` (D, H, W).

        Args:
            draws: (B,) draw numbers; each item's parameters are a function of (seed, draw, size).
            size: (D, H, W) in voxels.
            seed: Seed of the run.
            purpose: Text that no other sampler uses; a second augmentation of the same draws has another.

        Raises:
            ValueError: draws or sizes of another form.
        """
        size = check_size(size)
        parameters = [self._sample_item(state, size) for state in random_states(seed, draws, purpose)]
        matrix, control = zip(*parameters, strict=True)
        return SpatialParameters(torch.cat(matrix), torch.cat(control))

    def field(self, parameters: SpatialParameters, size: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
        """Return the displacement field (B, 3, D, H, W) in voxels, float32 on ``device``.

        Raises:
            ValueError: the parameters were drawn for another ``size``, as shown by the number of control points.
        """
        size = check_size(size)
        flow = parameters.control.to(device)
        if flow.shape[2:] != self._control_points(size):
            raise ValueError(f"The parameters have control points of shape {tuple(flow.shape)}, not those of {size}.")
        weights = [_spline_weights(length, self.elastic_spacing).to(flow) for length in size]
        flow = torch.einsum("xi,bcijk->bcxjk", weights[0], flow)
        flow = torch.einsum("yj,bcxjk->bcxyk", weights[1], flow)
        flow = torch.einsum("zk,bcxyk->bcxyz", weights[2], flow)
        return affine_flow(parameters.matrix.to(device), size, flow)

    def apply(self, parameters: SpatialParameters, *volumes: Tensor) -> tuple[Tensor, ...]:
        """Warp volumes of one shape by the same field.

        Floating-point volumes are interpolated trilinearly; label maps and masks (integer, bool) take the value of the
        nearest voxel. Volumes are 0 outside, so that a mask of real voxels becomes 0 in padding.

        Args:
            parameters: Parameters of B items.
            volumes: Volumes (B, C, D, H, W), each with its own number of channels and dtype.

        Returns:
            The warped volumes, with their shapes and dtypes.

        Raises:
            ValueError: no volumes, or volumes that differ in batch or size.
        """
        batch = parameters.matrix.shape[0]
        if not volumes:
            raise ValueError("There is no volume to warp. Give at least one.")
        for volume in volumes:
            if volume.ndim != 5 or volume.shape[0] != batch or volume.shape[2:] != volumes[0].shape[2:]:
                shapes = [tuple(volume.shape) for volume in volumes]
                raise ValueError(f"volumes must have shape ({batch}, C, D, H, W) and one size, got {shapes}.")
        field = self.field(parameters, volumes[0].shape[2:], volumes[0].device)
        images = [volume for volume in volumes if volume.is_floating_point()]
        warped = iter(_warp_together(images, field))
        return tuple(
            next(warped) if volume.is_floating_point() else warp_flow(volume, field, mode="nearest")
            for volume in volumes
        )

    def _sample_item(self, state: np.random.RandomState, size: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        def around(middle: float, extent: float, *shape: int) -> Tensor:
            return torch.from_numpy(state.uniform(middle - extent, middle + extent, (1, *shape))).float()

        rotation, scale, shear = around(0, self.rotation, 3), around(1, self.scale, 3), around(0, self.shear, 6)
        translation = around(0, self.translation, 3) * torch.tensor(size)
        largest = state.uniform(0, self.elastic) * math.sqrt(3 / VARIANCE)
        control = around(0, largest, 3, *self._control_points(size))
        return affine_matrix(rotation, scale, translation, shear), control

    def _control_points(self, size: tuple[int, int, int]) -> tuple[int, ...]:
        return tuple(int((length - 1) / self.elastic_spacing) + 4 for length in size)


def _warp_together(images: list[Tensor], field: Tensor) -> list[Tensor]:
    """Warp images (B, C, D, H, W) as channels of one image, because half of the time is spent on the positions."""
    if not images:
        return []
    warped = warp_flow(torch.cat(images, 1), field).split([image.shape[1] for image in images], 1)
    return [result.to(image.dtype) for result, image in zip(warped, images, strict=True)]


def _spline_weights(length: int, spacing: float) -> Tensor:
    """Return cubic B-spline weights (length, control points) of an axis; voxel 0 lies at control point 1."""
    position = torch.arange(length, dtype=torch.float64) / spacing + 1
    points = torch.arange(int((length - 1) / spacing) + 4)
    distance = (position[:, None] - points).abs()
    near = 2 / 3 - distance.square() * (1 - distance / 2)
    return torch.where(distance < 1, near, (2 - distance).clamp(min=0) ** 3 / 6)
