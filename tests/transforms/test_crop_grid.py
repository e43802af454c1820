import pytest
import torch

from ssl3d.transforms import join_crops, split_crops
from ssl3d.transforms.crop_grid import valid_share

SIZE, CROPS = (4, 6, 10), (2, 3, 1)


def volume():
    return torch.arange(2 * 3 * 240.0).view(2, 3, *SIZE)


def test_crops_tile_the_volume_the_last_axis_fastest():
    pieces = split_crops(volume(), CROPS)
    assert pieces.shape == (12, 3, 2, 2, 10)
    number = 0
    for item in range(2):
        for d in (0, 2):
            for h in (0, 2, 4):
                assert torch.equal(pieces[number], volume()[item, :, d : d + 2, h : h + 2])
                number += 1


@pytest.mark.parametrize("crops", [(1, 1, 1), CROPS, (4, 2, 5), (1, 6, 10)])
def test_joining_is_the_inverse(crops):
    assert torch.equal(join_crops(split_crops(volume(), crops), crops), volume())


def test_maps_of_crops_become_the_map_of_the_volume():
    """Pooling crop by crop is pooling the volume: the order of cells is that of their positions."""
    pooled = torch.nn.functional.avg_pool3d(split_crops(volume(), CROPS), (2, 1, 5))
    expected = torch.nn.functional.avg_pool3d(volume(), (2, 1, 5))
    torch.testing.assert_close(join_crops(pooled, CROPS), expected)


def test_share_of_real_voxels():
    valid = torch.zeros(1, 1, 4, 4, 2)
    valid[..., :3, :] = 1
    assert valid_share(valid, (4, 2, 2)).tolist() == [[1.0, 0.5]]


def test_faults_are_named():
    for crops in ((1, 4, 1), (8, 1, 1)):  # no multiple; smaller than one crop
        with pytest.raises(ValueError, match=r"A volume of \(4, 6, 10\) voxels cannot be cut"):
            split_crops(volume(), crops)
    for crops in ((2, 3), (0, 1, 1)):
        with pytest.raises(ValueError, match="crops must be three whole numbers of at least 1"):
            split_crops(volume(), crops)
