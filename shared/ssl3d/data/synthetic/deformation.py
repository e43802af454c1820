"""The exact map between a synthetic subject and its template: an affine map followed by a diffeomorphism."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import CubicSpline

from ...geometry import compose_flow, jacobian_determinant

SPACING = 5.0  # mm between the nodes of the field
EXTENT = 125.0  # mm; the field covers [-EXTENT, EXTENT] along each axis of the template and vanishes at its border
NODES = int(2 * EXTENT / SPACING) + 1
SQUARINGS = 6
SMALLEST_JACOBIAN = 0.2


@dataclass(frozen=True)
class Expansion:
    """A local growth in the template's frame: by about ``factor`` at ``centre`` (mm), fading over ``width`` (mm)."""

    centre: tuple[float, float, float]
    factor: float
    width: float


class Deformation:
    """The map ``T(p) = φ(M p + t)`` of a point p of the subject (world, mm, RAS) to the template (mm, RAS).

    ``φ = exp(v)`` integrates a stationary velocity field by scaling and squaring (Arsigny et al., MICCAI 2006), so it
    is invertible; a velocity that would compress below a Jacobian of 0.2 between two nodes is halved until it does not.
    Between its nodes, 5 mm apart, the field is trilinear; :meth:`to_subject` inverts this very function, so that the
    correspondences are exact.

    Args:
        generator: source of the random velocity.
        matrix: shape ``(3, 3)``, linear part M.
        translation: shape ``(3,)``, t in mm.
        strength: standard deviation of the random velocity in mm.
        smoothness: distance in mm over which the random velocity changes.
        expansions: growth of single structures, as seen in the subject.
    """

    def __init__(
        self,
        generator: np.random.Generator,
        matrix: np.ndarray,
        translation: np.ndarray,
        *,
        strength: float,
        smoothness: float,
        expansions: Sequence[Expansion] = (),
    ) -> None:
        self.matrix, self.translation = np.asarray(matrix, np.float64), np.asarray(translation, np.float64)
        velocity = _random_velocity(generator, strength, smoothness) + _expansion_velocity(expansions)
        flow = _exponential(velocity)
        while jacobian_determinant(flow).min() < SMALLEST_JACOBIAN:
            velocity = velocity / 2
            flow = _exponential(velocity)
        self._forward = flow * SPACING  # (1, 3, X, Y, Z) in mm
        self._backward = _exponential(-velocity) * SPACING

    @property
    def jacobian(self) -> np.ndarray:
        """Jacobian determinants of φ at its nodes, shape ``(X, Y, Z)``: above 0.2 everywhere."""
        return jacobian_determinant(self._forward / SPACING)[0, 0].numpy()

    def to_template(self, points: np.ndarray) -> np.ndarray:
        """Map world coordinates of the subject, shape ``(3, ...)`` in mm, to the template, same shape and dtype."""
        moved = np.tensordot(self.matrix.astype(points.dtype), points, axes=1)
        moved += self.translation.astype(points.dtype).reshape(3, *[1] * (points.ndim - 1))
        moved += interpolate(self._forward, moved)
        return moved

    def to_subject(self, points: np.ndarray, iterations: int = 15) -> np.ndarray:
        """Map template coordinates, shape ``(3, ...)`` in mm, to the world of the subject.

        The inverse field is the first guess; a fixed-point iteration then inverts :meth:`to_template` to 1e-4 mm.
        """
        points = np.asarray(points, np.float64)
        inner = points + interpolate(self._backward, points)
        for _ in range(iterations):
            inner = inner - 0.7 * (inner + interpolate(self._forward, inner) - points)
        inner = inner - self.translation.reshape(3, *[1] * (points.ndim - 1))
        return np.tensordot(np.linalg.inv(self.matrix), inner, axes=1)


def _random_velocity(generator: np.random.Generator, strength: float, smoothness: float) -> torch.Tensor:
    """Normal velocities on a coarse grid, cubic between, faded out at the border; shape ``(1, 3, X, Y, Z)``, mm."""
    coarse = round(2 * EXTENT / smoothness) + 1
    values = generator.standard_normal((3, coarse, coarse, coarse))
    spline = CubicSpline(np.arange(coarse), np.eye(coarse))(np.linspace(0, coarse - 1, NODES))  # (NODES, coarse)
    velocity = np.einsum("xi,yj,zk,cijk->cxyz", spline, spline, spline, values, optimize=True)
    fade = np.minimum(np.sin(np.linspace(0, np.pi, NODES)), 0.7) / 0.7
    velocity *= fade[:, None, None] * fade[:, None] * fade * strength / velocity.std()
    return torch.from_numpy(velocity.astype(np.float32))[None]


def _expansion_velocity(expansions: Sequence[Expansion]) -> torch.Tensor:
    """Velocities towards the centre of each expansion, for the map reads template coordinates; ``(1, 3, X, Y, Z)``."""
    axis = torch.linspace(-EXTENT, EXTENT, NODES)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
    velocity = torch.zeros_like(grid)
    for expansion in expansions:
        offset = grid - torch.tensor(expansion.centre).view(3, 1, 1, 1)
        fall = torch.exp(offset.square().sum(0) / (-2 * expansion.width**2))
        velocity -= float(np.log(expansion.factor)) * fall * offset
    return velocity[None]


def _exponential(velocity: torch.Tensor) -> torch.Tensor:
    """Displacement, in nodes, of the flow at time one of a stationary velocity in mm."""
    flow = velocity / (SPACING * 2**SQUARINGS)
    for _ in range(SQUARINGS):
        flow = compose_flow(flow, flow)
    return flow


def interpolate(field: torch.Tensor, points: np.ndarray) -> np.ndarray:
    """Trilinear values of a field in the template's frame, zero outside of its extent.

    Args:
        field: shape ``(1, C, X, Y, Z)`` of any resolution, its border nodes at -125 and 125 mm of the template.
        points: shape ``(3, ...)``, template coordinates in mm.

    Returns:
        Shape ``(C, ...)``, in the dtype of ``points``.
    """
    grid = torch.from_numpy(points[::-1].reshape(3, -1).T / EXTENT)[None, None, None]
    sampled = F.grid_sample(field.to(grid.dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return sampled.view(-1, *points.shape[1:]).numpy()
