"""Dense features: unit vectors on the grid of the image, of any size; one vector of the whole; filling in."""

import pytest
import torch

from ssl3d.networks import DenseFeatureNet, UNet3d


def small(stride=4):
    torch.manual_seed(0)
    return DenseFeatureNet(UNet3d(1, (8, 16, 16)), stride).eval()


@pytest.mark.parametrize("size", [(16, 16, 16), (17, 20, 9)])
def test_features_are_unit_vectors_of_the_cells(size):
    image = torch.rand(2, 1, *size)
    features = small()(image)
    assert features.shape == (2, 16, *(-(-side // 4) for side in size))
    torch.testing.assert_close(features.norm(dim=1), torch.ones_like(features[:, 0]))
    whole = small().whole(image)
    assert whole.shape == (2, 16)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(2))
    assert small().restore(image).shape == image.shape


def test_cells_begin_at_the_first_voxel_whatever_the_size():
    image = torch.rand(1, 1, 16, 16, 16)
    odd = torch.nn.functional.pad(image, [0, 0, 0, 0, 0, 5])
    same = torch.nn.functional.pad(image, [0, 0, 0, 0, 0, 8])
    torch.testing.assert_close(small()(odd), small()(same)[:, :, :6])


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"stride .*\(4, 2, 1\), got 8"):
        small(8)
    with pytest.raises(ValueError, match=r"\[1, 16, 16, 16\]"):
        small()(torch.zeros(1, 16, 16, 16))
