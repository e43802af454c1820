"""Cells that correspond: golden pairs, identity, inverse, and a coordinate image that is warped by the same matrix."""

import math

import numpy as np
import pytest
import torch
from golden_s2dc import section

from ssl3d.geometry import affine_matrix, correspondence, patch_correspondence, voxel_matrix, warp_affine

GRID, CELL = (3, 4, 2), (5, 3, 7)
SIZE = tuple(count * side for count, side in zip(GRID, CELL, strict=True))


def random_matrices(count, seed=0):
    """Rotations, scales, shears and translations of all axes, float64."""
    state = np.random.RandomState(seed)
    around = lambda middle, extent, n: torch.from_numpy(state.uniform(middle - extent, middle + extent, (count, n)))  # noqa: E731
    return affine_matrix(around(0, 0.6, 3), around(1, 0.25, 3), around(0, 6, 3), around(0, 0.15, 6))


def inverse(matrix):
    linear = torch.linalg.inv(matrix[..., :3])
    return torch.cat([linear, -linear @ matrix[..., 3:]], dim=-1)


def pairs(mask):
    return [tuple(pair) for pair in mask.nonzero().tolist()]


@pytest.mark.parametrize("number", range(6))
def test_golden_pairs(number):
    case = section("s2dc", "correspondence")["cases"][number]
    given = (case["angle_deg"], case["scale"], case["translation"], case["grid"], case["cell"])
    for exact, name in ((True, "exact_geometry_pairs_src_aug"), (False, "reference_pairs_src_aug")):
        result = patch_correspondence(*given, exact=exact)
        assert result.dtype == torch.bool and result.shape == (144, 144) and result.device.type == "cpu"
        assert pairs(result) == sorted(map(tuple, case[name]))


def test_the_identity_gives_the_identity():
    assert torch.equal(correspondence(torch.eye(3, 4), GRID, CELL), torch.eye(24, dtype=torch.bool))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_by_a_cell_along_each_axis(axis):
    """The copy shows at ``p`` what lies one cell further: cell 1 of the volume comes to lie on cell 0."""
    matrix = torch.eye(3, 4)
    matrix[axis, 3] = CELL[axis]
    index = torch.arange(24).view(GRID)
    later, earlier = index.narrow(axis, 1, GRID[axis] - 1), index.narrow(axis, 0, GRID[axis] - 1)
    expected = torch.zeros(24, 24, dtype=torch.bool)
    expected[later.flatten(), earlier.flatten()] = True
    assert torch.equal(correspondence(matrix, GRID, CELL), expected)


def test_a_quarter_turn_about_each_axis_permutes_the_cells_as_it_does_the_image():
    for axis in range(3):
        rotation = torch.zeros(1, 3, dtype=torch.float64)
        rotation[0, axis] = math.pi / 2
        matrix = affine_matrix(rotation, torch.ones(1, 3), torch.zeros(1, 3), torch.zeros(1, 6))
        numbers = torch.arange(27, dtype=torch.float64).view(1, 1, 3, 3, 3)
        shown = warp_affine(numbers, matrix, mode="nearest").flatten().long()  # of each cell of the copy
        expected = torch.arange(27)[:, None] == shown
        assert torch.equal(correspondence(matrix[0], (3, 3, 3), (4, 4, 4)), expected)


def test_equals_the_look_up_in_a_warped_coordinate_image():
    """200 matrices: nearest source cell at each centre of the copy, and back through the inverse."""
    pad = [4 * side for side in CELL]  # so that no coordinate near the border is mixed with the zeros outside
    axes = [torch.arange(s + 2 * p, dtype=torch.float64) - p for s, p in zip(SIZE, pad, strict=True)]
    coordinates = torch.stack(torch.meshgrid(axes, indexing="ij"))[None]
    centres = tuple(slice(p + c // 2, p + s, c) for p, s, c in zip(pad, SIZE, CELL, strict=True))
    sides, counts = torch.tensor(CELL)[:, None], torch.tensor(GRID)[:, None]

    def looked_up(matrix):
        ones = torch.ones_like(coordinates[:, :1])
        both = warp_affine(torch.cat([coordinates, ones], 1), matrix[None])[0]
        points, known = both[(slice(None), *centres)].flatten(1).split([3, 1])
        cells = (points / sides - (sides - 1) / (2 * sides)).round()
        inside = ((cells >= 0) & (cells < counts)).all(0) & (known[0] > 1 - 1e-9)
        return torch.where(inside, (cells[0] * GRID[1] + cells[1]) * GRID[2] + cells[2], -1).long()

    matrices = random_matrices(200)
    results, number = correspondence(matrices, GRID, CELL), torch.arange(24)
    for matrix, result in zip(matrices, results, strict=True):
        origin, target = looked_up(matrix), looked_up(inverse(matrix))
        expected = (target[:, None] == number) & (origin[None] == number[:, None])
        assert torch.equal(result, expected)
    shares = results.float().sum(dim=(1, 2)) / 24
    assert 0.2 < shares.mean() < 0.8, "neither all nor nothing"


def test_the_inverse_matrix_gives_the_transpose():
    matrices = random_matrices(200, seed=1)
    forth, back = (correspondence(given, GRID, CELL) for given in (matrices, inverse(matrices)))
    assert torch.equal(forth, back.transpose(1, 2))


def test_rows_and_columns_hold_one_partner_at_most():
    result = correspondence(random_matrices(50), GRID, CELL)
    assert result.sum(1).max() == 1 and result.sum(2).max() == 1


def test_a_batch_is_its_items():
    matrices = random_matrices(3)
    batch = correspondence(matrices, GRID, CELL)
    for item, matrix in zip(batch, matrices, strict=True):
        assert torch.equal(item, correspondence(matrix, GRID, CELL))


def test_spacing_enters_once():
    """Turning by 90 degrees in mm maps cells that are cubes in mm onto each other, whatever the spacing."""
    turn = torch.tensor([[[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]], dtype=torch.float64)
    spacing = torch.tensor([1.0, 2.0, 4.0])
    expected = correspondence(turn[0], (3, 3, 2), (8, 8, 8))
    assert torch.equal(correspondence(voxel_matrix(turn, spacing)[0], (3, 3, 2), (8, 4, 2)), expected)
    assert not torch.equal(correspondence(turn[0], (3, 3, 2), (8, 4, 2)), expected)


def test_voxel_matrix_moves_points_as_in_mm():
    matrix, points = random_matrices(4), torch.from_numpy(np.random.RandomState(0).randn(3, 7))
    spacing = torch.tensor([[0.5, 1.0, 3.0]] * 4, dtype=torch.float64)
    moved = voxel_matrix(matrix, spacing)[:, :, :3] @ (points / spacing[:, :, None])
    moved = (moved + voxel_matrix(matrix, spacing)[:, :, 3:]) * spacing[:, :, None]
    torch.testing.assert_close(moved, matrix[:, :, :3] @ points + matrix[:, :, 3:])
    assert torch.equal(voxel_matrix(matrix, torch.ones(3)), matrix)


def test_faults_are_named():
    flat = torch.eye(3, 4)
    flat[1, 1] = 0
    for matrix, shown in (
        (torch.eye(4), r"got \(4, 4\)"),
        (flat, "invertible"),
        (torch.full((3, 4), math.nan), "nan"),
    ):
        with pytest.raises(ValueError, match=shown):
            correspondence(matrix, GRID, CELL)
    with pytest.raises(ValueError, match=r"grid must be .* got \(3, 0, 2\)"):
        correspondence(torch.eye(3, 4), (3, 0, 2), CELL)
    with pytest.raises(ValueError, match=r"cell must be .* got \(5, 3\)"):
        correspondence(torch.eye(3, 4), GRID, (5, 3))
    with pytest.raises(ValueError, match=r"two numbers, in voxels, got \(1, 2, 3\)"):
        patch_correspondence(0, 1, (1, 2, 3), 2, 8)
    with pytest.raises(ValueError, match="invertible"):
        patch_correspondence(0, 0, (0, 0), 2, 8)
    with pytest.raises(ValueError, match=r"got \(3, 4\)"):
        voxel_matrix(torch.eye(3, 4), torch.ones(3))
    with pytest.raises(ValueError, match=r"got \[1.0, 0.0, 1.0\]"):
        voxel_matrix(torch.eye(3, 4)[None], torch.tensor([1.0, 0.0, 1.0]))
