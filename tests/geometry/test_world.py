"""World coordinates: sampling anywhere, slabs of a grid, and a network's displacement between two scans."""

import pytest
import torch

from ssl3d.geometry import affine_flow, affine_matrix
from ssl3d.geometry.world import apply_affine, moving_points, sample_at, within, world_affine, world_slabs

# axes P, L, S of 1.5, 1 and 2 mm: neither RAS nor isotropic
GRID = torch.tensor([[0, -1.0, 0, 30], [-1.5, 0, 0, 20], [0, 0, 2.0, -5], [0, 0, 0, 1]], dtype=torch.float64)
SIZE = (6, 7, 5)
SLOPE = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def points_of(size=SIZE, grid=GRID):
    ((_, points),) = world_slabs(size, grid, planes=size[0])
    return points


def general_matrix():
    values = [torch.tensor([v], dtype=torch.float64) for v in ([0.2, -0.1, 0.15], [0.9, 1.1, 1.05], [0.7, -1.2, 0.4])]
    return affine_matrix(*values, torch.full((1, 6), 0.05, dtype=torch.float64))


def test_slabs_make_up_the_grid():
    whole, seen = torch.full((3, *SIZE), torch.nan, dtype=torch.float64), []
    for planes, points in world_slabs(SIZE, GRID, planes=4):
        whole[:, planes] = points
        seen.append(points.shape[1])
    assert seen == [4, 2]
    for voxel in ((0, 0, 0), (5, 6, 4), (4, 1, 2)):
        expected = GRID @ torch.tensor([*voxel, 1.0], dtype=torch.float64)
        torch.testing.assert_close(whole[(slice(None), *voxel)], expected[:3])
    torch.testing.assert_close(
        apply_affine(torch.linalg.inv(GRID), whole)[:, 5, 6, 4], torch.tensor([5.0, 6, 4]).double()
    )


def test_within_reaches_half_a_voxel_beyond_the_outermost_centres():
    voxels = torch.tensor([[-0.5, 5.5, 4.5], [-0.6, 3.0, 2.0], [2.0, 6.6, 2.0], [2.0, 3.0, 4.5], [2.0, 3.0, 4.6]]).T
    assert within(voxels, SIZE).tolist() == [True, False, False, True, False]
    assert within(torch.tensor([[-0.5, 5.5], [6.5, -0.5], [0.0, 4.5]]), SIZE).all()
    assert within(voxels[:, :4].reshape(3, 2, 2), SIZE).tolist() == [[True, False], [False, True]]
    assert within(voxels[:, 3], SIZE).ndim == 0


def test_a_linear_image_is_read_exactly_between_its_voxels():
    volume = torch.einsum("i,idhw->dhw", SLOPE, points_of(grid=torch.eye(4)))[None]
    positions = torch.tensor([[0.0, 4.75, 2.5], [0.25, 6.0, 1.1], [4.0, 0.0, 3.3]], dtype=torch.float64)
    torch.testing.assert_close(sample_at(volume, positions)[0], SLOPE @ positions)
    quick = sample_at(volume.float(), positions, exact=False)
    torch.testing.assert_close(quick[0], (SLOPE @ positions).float(), rtol=1e-5, atol=1e-4)
    assert sample_at(volume, torch.tensor([[-1.0], [0.0], [0.0]]).double()).item() == 0, "zeros outside"


def test_nearest_at_half_voxels_shifts_and_does_not_double():
    """Two grids half a voxel apart, as when the centres of 5 and of 6 voxels meet, with a rounding error beside."""
    labels = torch.arange(1, 9).view(1, 8, 1, 1)
    along = torch.arange(8).double() + 0.5 + torch.tensor([1e-13, -1e-13]).double().repeat(4)
    positions = torch.stack([along, torch.zeros(8).double(), torch.zeros(8).double()])
    read = sample_at(labels, positions, "nearest")
    assert read.dtype == labels.dtype
    assert read[0].tolist() == [2, 3, 4, 5, 6, 7, 8, 0]


def test_zero_flow_leaves_the_points_and_adds_the_shift():
    shift = torch.tensor([3.0, -4.0, 5.0])
    points = points_of()
    moved = moving_points(points, torch.zeros(3, 8, 9, 7), torch.eye(4), shift)
    torch.testing.assert_close(moved, points + shift.double().view(3, 1, 1, 1))


def test_a_displacement_along_an_axis_of_the_grid_is_turned_into_the_world():
    flow = torch.zeros(3, *SIZE)
    flow[0] = 2  # two voxels of 1.5 mm towards P
    moved = moving_points(torch.tensor([[28.0], [15.0], [-1.0]]).double(), flow, GRID, torch.zeros(3))
    torch.testing.assert_close(moved[:, 0], torch.tensor([28.0, 12.0, -1.0]).double())


def test_beyond_the_grid_its_border_counts():
    flow = torch.zeros(3, 4, 4, 4)
    flow[1, :, :, 3] = 1.5
    far = torch.tensor([[1.0], [2.0], [50.0]]).double()
    torch.testing.assert_close(
        moving_points(far, flow, torch.eye(4), torch.zeros(3)), far + torch.tensor([[0], [1.5], [0]])
    )


def test_world_affine_is_the_field_of_an_affine_flow():
    matrix, shift = general_matrix(), torch.tensor([10.0, -20.0, 5.0])
    flow = affine_flow(matrix, SIZE)[0]
    points = points_of()
    affine = world_affine(matrix[0], SIZE, GRID, shift)
    torch.testing.assert_close(moving_points(points, flow, GRID, shift), apply_affine(affine, points))
    assert (apply_affine(affine, points) - points - shift.view(3, 1, 1, 1)).abs().max() > 1


@pytest.mark.parametrize(
    ("volume", "positions"),
    [
        (torch.zeros(4, 4, 7), torch.zeros(3, 7)),
        (torch.zeros(1, 4, 4, 7), torch.zeros(2, 7)),
        (torch.zeros(1, 4, 4, 7), torch.zeros(7)),
    ],
)
def test_wrong_shapes_are_named(volume, positions):
    with pytest.raises(ValueError, match="7"):
        sample_at(volume, positions)
