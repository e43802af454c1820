"""Find points without any learning, as baselines: by relative position in the body, and by affine registration."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from ...geometry.warp import sample
from ...geometry.world import apply_affine

BODY = 0.1  # higher intensities, in [0, 1], belong to the body; in CT all but air and lung
LEVELS = ((4, 80), (2, 40))  # voxels averaged along each axis, and steps of the optimiser
LENGTH = 100.0  # mm: a change of the matrix by one moves a point at this distance from the centre as far as this
RATE = 0.01  # learning rate of the optimiser, in the units of the matrix


def body_box(image: Tensor, affine: Tensor) -> Tensor:
    """Return the lowest and highest corner (2, 3), mm, of the largest connected region brighter than ``BODY``.

    Args:
        image: (C, D, H, W), intensities scaled to [0, 1], oriented RAS; the first channel is read.
        affine: (4, 4), from its voxels to mm.
    """
    pieces, count = ndimage.label(image[0].cpu().numpy() > BODY)
    if count:
        largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
        (found,) = ndimage.find_objects(pieces == largest)
        box = [[part.start for part in found], [part.stop - 1 for part in found]]
    else:
        box = [[0, 0, 0], [side - 1 for side in image.shape[1:]]]
    corners = apply_affine(affine.double().cpu(), torch.tensor(box, dtype=torch.float64).T).T
    return torch.stack([corners.amin(0), corners.amax(0)])


def box_map(fixed: Tensor, moving: Tensor) -> Tensor:
    """Return the matrix (4, 4), from mm to mm, that maps the box ``fixed`` (2, 3) to the box ``moving``."""
    scale = (moving[1] - moving[0]) / (fixed[1] - fixed[0]).clamp(min=1e-6)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = scale.diag()
    matrix[:3, 3] = moving[0] - scale * fixed[0]
    return matrix


def register_affine(
    fixed: Tensor, fixed_affine: Tensor, moving: Tensor, moving_affine: Tensor, start: Tensor
) -> Tensor:
    """Fit all twelve numbers of the affine (4, 4) from world coordinates of a fixed scan to those of a moving one, mm.

    The correlation of the fixed image with the moving one over the fixed volume is maximised, from coarse to fine.

    Args:
        fixed: (C, D, H, W) of any size; the first channel is read.
        fixed_affine: (4, 4), from voxels to mm.
        moving: (C, D, H, W) of any size; the first channel is read.
        moving_affine: (4, 4), from voxels to mm.
        start: (4, 4), such as :func:`box_map`.
    """
    with torch.enable_grad():
        centre = apply_affine(fixed_affine.double(), torch.tensor(fixed.shape[1:]).double().sub(1).div(2)[:, None])
        offset = start[:3, :3] @ centre + start[:3, 3:]  # (3, 1), where the start puts the centre
        change = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.Adam([change], lr=RATE)

        def matrix() -> Tensor:
            linear = start[:3, :3] + change[:, :3]
            return torch.cat([linear, offset + LENGTH * change[:, 3:] - linear @ centre], dim=1)  # (3, 4)

        for factor, steps in LEVELS:
            one, one_affine = _smaller(fixed, fixed_affine, factor)
            other, other_affine = _smaller(moving, moving_affine, factor)
            axes = [torch.arange(side, dtype=torch.float64) for side in one.shape[2:]]
            points = apply_affine(one_affine, torch.stack(torch.meshgrid(axes, indexing="ij")))  # (3, d, h, w)
            to_voxel = torch.linalg.inv(other_affine)
            for _ in range(steps):
                whole = to_voxel[:3, :3] @ matrix()  # voxels of the moving volume from mm of the fixed one
                whole = whole + torch.cat([torch.zeros(3, 3).double(), to_voxel[:3, 3:]], dim=1)
                positions = (whole[:, :3] @ points.flatten(1) + whole[:, 3:]).view(points.shape)
                loss = -_correlation(one, sample(other, positions[None].float(), "bilinear", exact=False))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        result = torch.eye(4, dtype=torch.float64)
        result[:3] = matrix().detach()
    return result


def _smaller(image: Tensor, affine: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Average over ``factor`` voxels along each axis; return the result (1, 1, d, h, w) and its affine."""
    factors = [min(factor, side) for side in image.shape[1:]]
    to_voxel = torch.eye(4, dtype=torch.float64)
    to_voxel[:3, :3] = torch.tensor(factors, dtype=torch.float64).diag()
    to_voxel[:3, 3] = torch.tensor([(side - 1) / 2 for side in factors])
    return F.avg_pool3d(image[None, :1].float().cpu(), factors), affine.double().cpu() @ to_voxel


def _correlation(one: Tensor, other: Tensor) -> Tensor:
    one, other = one - one.mean(), other - other.mean()
    return (one * other).sum() / (one.square().sum() * other.square().sum()).sqrt().clamp(min=1e-6)
