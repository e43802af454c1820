"""What finds points without learning: boxes of the body, and an affine registration that recovers a known one."""

import pytest
import torch
import torch.nn.functional as F

from ssl3d.geometry.world import apply_affine, sample_at
from ssl3d.tasks.landmarks.baselines import body_box, box_map, register_affine

AFFINE = torch.diag(torch.tensor([3.0, 3.0, 3.0, 1.0], dtype=torch.float64))
AFFINE[:3, 3] = torch.tensor([-40.0, -50.0, 100.0])


def body(size=(28, 32, 24)):
    """(1, *size): a bright ellipsoid of smooth texture in the dark."""
    texture = torch.rand(1, 1, *(side // 4 for side in size), generator=torch.Generator().manual_seed(0))
    texture = 0.3 + 0.7 * F.interpolate(texture, size, mode="trilinear", align_corners=False)[0]
    axes = torch.meshgrid([torch.linspace(-1.25, 1.25, side) for side in size], indexing="ij")
    return texture * (torch.stack(axes).square().sum(0) < 1)


def test_the_box_holds_the_largest_piece_and_nothing_else():
    image = torch.zeros(1, 10, 12, 14)
    image[0, 2:7, 3:9, 4:10] = 0.5
    image[0, 9, 11, 13] = 1  # a speck elsewhere
    image[0, 2:7, 3:9, 11] = 0.05  # too dark
    low, high = body_box(image, AFFINE)
    torch.testing.assert_close(low, apply_affine(AFFINE, torch.tensor([[2.0], [3], [4]]).double())[:, 0])
    torch.testing.assert_close(high, apply_affine(AFFINE, torch.tensor([[6.0], [8], [9]]).double())[:, 0])
    dark = body_box(0 * image, AFFINE)
    torch.testing.assert_close(dark[1] - dark[0], 3 * torch.tensor([9.0, 11, 13]).double())


def test_boxes_are_brought_onto_each_other():
    one, other = torch.tensor([[0.0, 0, 0], [10, 20, 30]]).double(), torch.tensor([[5.0, 5, 5], [10, 45, 20]]).double()
    torch.testing.assert_close(apply_affine(box_map(one, other), one.T).T, other)


@pytest.mark.parametrize("start", ["box", "identity"])
def test_a_known_affine_map_is_recovered(start):
    """The fixed scan is the moving one, sampled through a map with shear and other scales, on a grid of its own."""
    moving = body((32, 36, 28))
    known = torch.eye(4, dtype=torch.float64)
    known[:3, :3] += torch.tensor([[0.08, 0.05, 0], [-0.04, -0.06, 0.03], [0, 0.05, 0.05]])
    known[:3, 3] = torch.tensor([4.0, -3.0, -6.0])
    size = (28, 32, 24)
    grid = torch.stack(torch.meshgrid([torch.arange(side).double() for side in size], indexing="ij"))
    world = apply_affine(AFFINE, grid)
    fixed = sample_at(moving, apply_affine(torch.linalg.inv(AFFINE) @ known, world))
    boxes = [body_box(image, AFFINE) for image in (fixed, moving)]
    first = box_map(*boxes) if start == "box" else torch.eye(4, dtype=torch.float64)
    found = register_affine(fixed, AFFINE, moving, AFFINE, first)
    inner = world[:, fixed[0] > 0.1]
    before, after = (
        (apply_affine(matrix, inner) - apply_affine(known, inner)).norm(dim=0).mean() for matrix in (first, found)
    )
    assert after < 1.0 < before, "a third of a voxel"
