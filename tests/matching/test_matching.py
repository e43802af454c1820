"""Matching: the same place is found, in mm, between cells, whatever the grids; bad input is named."""

import pytest
import torch
import torch.nn.functional as F
from golden_alice import matching_maps, section
from reference import alice as plain
from torch.utils._python_dispatch import TorchDispatchMode

from ssl3d.matching.points import EmbeddedScan, embed_scan, match_points
from ssl3d.networks import AnatomicalEmbeddingNet, UNet3d
from ssl3d.networks.anatomical_embedding import Embeddings

SIZE = (24, 20, 16)
AFFINE = torch.tensor([[1.5, 0, 0, -30], [0, 2.0, 0, 5], [0, 0, 2.5, 100], [0, 0, 0, 1]], dtype=torch.float64)


def place_scan(size=SIZE, affine=AFFINE):
    """A scan whose vectors are a smooth function of the place in mm, one that no other place has."""
    shape = [(side + 1) // 2 for side in size]
    cells = torch.stack(torch.meshgrid([2.0 * torch.arange(n) + 0.5 for n in shape], indexing="ij")).double()
    world = (affine[:3, :3] @ cells.flatten(1) + affine[:3, 3:]).view(3, *shape)
    halves = []
    for period in (12.0, 40.0):
        halves.append(F.normalize(torch.cat([(world / period).sin(), (world / period).cos()]), dim=0))
    return EmbeddedScan(torch.cat(halves), size, affine)


def inner_points(count=20, seed=0):
    """(N, 3) mm, two voxels from the faces at least."""
    unit = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    voxels = 2 + unit * (torch.tensor(SIZE) - 5)
    return voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3]


def test_golden():
    """In the middle of a cell the released cell wins with the released score. The release then rounds to voxels."""
    golden = section("alice", "sam_match")
    network, scans = AnatomicalEmbeddingNet(UNet3d()), []
    for fine, coarse in matching_maps(golden):
        network.embed = lambda _, fine=fine, coarse=coarse: Embeddings(fine[None].float(), coarse[None].float())
        scans.append(embed_scan(network, torch.rand(1, *(2 * side for side in fine.shape[1:])), torch.eye(4)))
    ratios, shape = [golden[of]["norm_ratio_xyz"] for of in ("query", "key")], golden["key"]["im_shape"]
    cells = [plain.released_cell(point, ratios[0]) for point in golden["query_points_xyz"]]
    matches = match_points(scans[0], 2.0 * torch.tensor(cells) + 0.5, scans[1])
    assert matches.scores.tolist() == pytest.approx(golden["scores"], abs=1e-6)
    for voxel, expected in zip(matches.voxels, golden["matched_xyz"], strict=True):
        cell = tuple(((voxel - 0.5) / 2).round().int().tolist())
        assert plain.released_voxel(cell, ratios[1], shape) == expected


def test_a_point_is_found_in_its_own_scan_with_score_1():
    scan = place_scan()
    matches = match_points(scan, inner_points(), scan)
    assert matches.scores.min() > 0.99 and matches.scores.max() <= 1 + 1e-9
    centre = torch.tensor([[4.5, 8.5, 6.5]], dtype=torch.float64) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    assert match_points(scan, centre, scan).scores.item() == pytest.approx(1)
    assert (matches.points - inner_points()).abs().max() < 0.6
    torch.testing.assert_close(matches.points, matches.voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3])


def test_a_point_keeps_its_world_place_on_another_grid():
    """Other spacing, origin and direction of an axis, and an odd size."""
    affine = torch.tensor([[-2.0, 0, 0, 8], [0, 1.6, 0, 3], [0, 0, 2.0, 97], [0, 0, 0, 1]], dtype=torch.float64)
    matches = match_points(place_scan(), inner_points(), place_scan((21, 27, 23), affine))
    assert (matches.points - inner_points()).norm(dim=1).max() < 1.0


def test_between_cells_it_is_closer_than_the_best_cell():
    scan = place_scan()
    matches = match_points(scan, inner_points(60), scan)
    cells = ((matches.voxels - 0.5) / 2).round() * 2 + 0.5
    nearest = cells @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    errors = [(places - inner_points(60)).norm(dim=1).mean() for places in (matches.points, nearest)]
    assert errors[0] < 0.2 * errors[1]


def test_an_embedding_is_not_converted_to_read_one_point():
    """In float64 the copy takes five times as long as the search."""
    scan, largest = place_scan(), [0]
    scan = scan._replace(embedding=scan.embedding.float())

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
                largest[0] = max(largest[0], result.numel())
            return result

    with Watch():
        match_points(scan, inner_points(2), scan)
    assert 0 < largest[0] < scan.embedding.numel() / 100


def test_matches_stay_inside_and_points_at_the_faces_are_found():
    scan = place_scan()
    corners = torch.tensor([[0.0, 0, 0], [23, 19, 15]], dtype=torch.float64) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    matches = match_points(scan, corners, scan)
    assert (matches.voxels >= 0).all() and (matches.voxels <= torch.tensor(SIZE) - 1).all()
    assert (matches.points - corners).abs().max() < 2.0


def test_each_point_is_matched_alone_and_none_is_fine():
    scan, points = place_scan(), inner_points(3)
    together = match_points(scan, points, scan)
    torch.testing.assert_close(match_points(scan, points[1:2], scan).points, together.points[1:2])
    assert match_points(scan, points[:0], scan).points.shape == (0, 3)


@pytest.mark.parametrize("voxel", [(-1.0, 5, 5), (5, 19.6, 5), (5, 5, 400.0)])
def test_a_point_outside_is_named(voxel):
    scan = place_scan()
    point = torch.tensor([voxel], dtype=torch.float64) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    points = torch.cat([inner_points(2), point])
    with pytest.raises(ValueError, match=r"Point 2 at .* outside .*\(24, 20, 16\)"):
        match_points(scan, points, scan)


def test_other_shapes_are_named():
    scan = place_scan()
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        match_points(scan, torch.zeros(3, 2), scan)
    with pytest.raises(ValueError, match="12 and 8 channels"):
        match_points(scan, inner_points(), scan._replace(embedding=scan.embedding[:8]))


@pytest.mark.parametrize("fill", [0.0, 0.7, torch.nan])
def test_an_empty_scan_is_refused(fill):
    with pytest.raises(ValueError, match=r"nothing to find .*\(1, 4, 5, 6\)"):
        embed_scan(torch.nn.Identity(), torch.full((1, 4, 5, 6), fill), torch.eye(4))
    with pytest.raises(ValueError, match="nothing to find"):
        embed_scan(torch.nn.Identity(), torch.zeros(1, 0, 5, 6), torch.eye(4))


def test_scans_are_embedded_as_a_whole_without_gradient():
    network = torch.nn.Conv3d(1, 4, 2, 2)
    scan = embed_scan(network, torch.rand(1, 8, 6, 4), torch.eye(4))
    assert scan.embedding.shape == (4, 4, 3, 2) and not scan.embedding.requires_grad and scan.size == (8, 6, 4)
