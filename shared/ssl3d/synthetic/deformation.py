"""The exact map between a synthetic subject and its template: an affine map followed by a diffeomorphism."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import CubicSpline

from ..geometry import compose_flow, jacobian_determinant

SQUARINGS = 6
SMALLEST_JACOBIAN = 0.2


@dataclass(frozen=True)
class Frame:
    """The cube of the template that a deformation field covers; at its border the field vanishes.

    Attributes:
        extent: Distance from the centre to a face, mm.
        spacing: Between the nodes of the field, mm.
        centre: Centre in the template, mm.
    """

    extent: float
    spacing: float
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def nodes(self) -> int:
        """Nodes of the field along an axis."""
        return int(2 * self.extent / self.spacing) + 1


@dataclass(frozen=True)
class Expansion:
    """A local growth in the template's frame: by about ``factor`` at ``centre`` (mm), fading over ``width`` (mm)."""

    centre: tuple[float, float, float]
    factor: float
    width: float


@dataclass(frozen=True)
class Shift:
    """A local move in the template's frame: by about ``offset`` (mm) at ``centre`` (mm), fading over ``width`` (mm)."""

    centre: tuple[float, float, float]
    offset: tuple[float, float, float]
    width: float


class Deformation:
    """The map ``T(p) = φ(M p + t)`` of a point p of the subject (world, mm, RAS) to the template (mm, RAS).

    ``φ = exp(v)`` integrates a stationary velocity field by scaling and squaring (Arsigny et al., MICCAI 2006), so it
    is invertible; a velocity that would compress below a Jacobian of 0.2 between two nodes is halved until it does not.
    Between its nodes the field is trilinear; :meth:`to_subject` inverts this very function, so that the correspondences
    are exact.

    Args:
        frame: Region of the template in which the field is defined.
        generator: Source of the random velocity.
        matrix: Shape ``(3, 3)``, linear part M.
        translation: Shape ``(3,)``, t in mm.
        strength: Standard deviation of the random velocity in mm.
        smoothness: Distance in mm over which the random velocity changes.
        expansions, shifts: Growth and moves of single structures, as seen in the subject.
    """

    def __init__(
        self,
        frame: Frame,
        generator: np.random.Generator,
        matrix: np.ndarray,
        translation: np.ndarray,
        *,
        strength: float,
        smoothness: float,
        expansions: Sequence[Expansion] = (),
        shifts: Sequence[Shift] = (),
    ) -> None:
        self._frame = frame
        self.matrix, self.translation = np.asarray(matrix, np.float64), np.asarray(translation, np.float64)
        velocity = _random_velocity(frame, generator, strength, smoothness) + _local_velocity(frame, expansions, shifts)
        flow = _exponential(velocity / frame.spacing)
        while jacobian_determinant(flow).min() < SMALLEST_JACOBIAN:
            velocity = velocity / 2
            flow = _exponential(velocity / frame.spacing)
        self._forward = flow * frame.spacing  # (1, 3, X, Y, Z) in mm
        self._backward = _exponential(-velocity / frame.spacing) * frame.spacing

    @property
    def jacobian(self) -> np.ndarray:
        """Jacobian determinants of φ at its nodes, shape ``(X, Y, Z)``: above 0.2 everywhere."""
        return jacobian_determinant(self._forward / self._frame.spacing)[0, 0].numpy()

    def to_template(self, points: np.ndarray) -> np.ndarray:
        """Map world coordinates of the subject, shape ``(3, ...)`` in mm, to the template, same shape and dtype."""
        moved = np.tensordot(self.matrix.astype(points.dtype), points, axes=1)
        moved += self.translation.astype(points.dtype).reshape(3, *[1] * (points.ndim - 1))
        moved += interpolate(self._forward, moved, self._frame)
        return moved

    def to_subject(self, points: np.ndarray, iterations: int = 15) -> np.ndarray:
        """Map template coordinates, shape ``(3, ...)`` in mm, to the world of the subject.

        The inverse field is the first guess; a fixed-point iteration then inverts :meth:`to_template` to 1e-4 mm.
        """
        points = np.asarray(points, np.float64)
        inner = points + interpolate(self._backward, points, self._frame)
        for _ in range(iterations):
            inner = inner - 0.7 * (inner + interpolate(self._forward, inner, self._frame) - points)
        inner = inner - self.translation.reshape(3, *[1] * (points.ndim - 1))
        return np.tensordot(np.linalg.inv(self.matrix), inner, axes=1)


def _random_velocity(frame: Frame, generator: np.random.Generator, strength: float, smoothness: float) -> torch.Tensor:
    """Draw normal velocities on a coarse grid, cubic between, zero at the border; ``(1, 3, X, Y, Z)``, mm."""
    coarse = round(2 * frame.extent / smoothness) + 1
    values = generator.standard_normal((3, coarse, coarse, coarse))
    spline = CubicSpline(np.arange(coarse), np.eye(coarse))(np.linspace(0, coarse - 1, frame.nodes))  # (nodes, coarse)
    velocity = np.einsum("xi,yj,zk,cijk->cxyz", spline, spline, spline, values, optimize=True)
    fade = np.minimum(np.sin(np.linspace(0, np.pi, frame.nodes)), 0.7) / 0.7
    velocity *= fade[:, None, None] * fade[:, None] * fade * strength / velocity.std()
    return torch.from_numpy(velocity.astype(np.float32))[None]


def _local_velocity(frame: Frame, expansions: Sequence[Expansion], shifts: Sequence[Shift]) -> torch.Tensor:
    """Velocities of the growths and moves, against them, for the map reads the template; ``(1, 3, X, Y, Z)``, mm."""
    axis = torch.linspace(-frame.extent, frame.extent, frame.nodes)
    grid = torch.stack(torch.meshgrid(*(axis + middle for middle in frame.centre), indexing="ij"))
    velocity = torch.zeros_like(grid)
    for expansion in expansions:
        offset = grid - torch.tensor(expansion.centre).view(3, 1, 1, 1)
        fall = torch.exp(offset.square().sum(0) / (-2 * expansion.width**2))
        velocity -= float(np.log(expansion.factor)) * fall * offset
    for shift in shifts:
        distance = (grid - torch.tensor(shift.centre).view(3, 1, 1, 1)).square().sum(0)
        velocity -= torch.exp(distance / (-2 * shift.width**2)) * torch.tensor(shift.offset).view(3, 1, 1, 1)
    return velocity[None]


def _exponential(velocity: torch.Tensor) -> torch.Tensor:
    """Displacement of the flow at time one of a stationary velocity, both in nodes."""
    flow = velocity / 2**SQUARINGS
    for _ in range(SQUARINGS):
        flow = compose_flow(flow, flow)
    return flow


def interpolate(field: torch.Tensor, points: np.ndarray, frame: Frame) -> np.ndarray:
    """Trilinear values of a field, zero outside of its frame.

    Args:
        field: Shape ``(1, C, X, Y, Z)`` of any resolution, its border nodes on the faces of the frame.
        points: Shape ``(3, ...)``, template coordinates in mm.
        frame: Region of the template in which the field is defined.

    Returns:
        Shape ``(C, ...)``, in the dtype of ``points``.
    """
    centred = points.reshape(3, -1) - np.asarray(frame.centre, points.dtype)[:, None]
    grid = torch.from_numpy(centred[::-1].T / frame.extent)[None, None, None]
    sampled = F.grid_sample(field.to(grid.dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return sampled.view(-1, *points.shape[1:]).numpy()
