"""The anatomical embedding network: shapes, unit vectors, where a cell lies."""

import pytest
import torch
import torch.nn.functional as F

from ssl3d.networks import AnatomicalEmbeddingNet, UNet3d


def small(stride=2, channels=1, width=6):
    torch.manual_seed(0)
    return AnatomicalEmbeddingNet(UNet3d(channels, (8, 16, 16), stride), width).eval()


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(16, 24, 8), (9, 17, 12), (1, 2, 3)])
def test_one_tensor_in_and_2e_channels_at_stride_2_out(stride, size):
    out = small(stride, channels=2)(random(2, 2, *size))
    assert out.shape == (2, 12, *((side + 1) // 2 for side in size))
    for half in out.split(6, dim=1):
        torch.testing.assert_close(half.norm(dim=1), torch.ones(2, *out.shape[2:]))


def test_the_halves_are_the_fine_and_the_interpolated_coarse_vectors():
    net, image = small(), random(1, 1, 16, 24, 16)
    fine, coarse = net.embed(image)
    assert fine.shape == (1, 6, 8, 12, 8) and coarse.shape == (1, 6, 2, 3, 2)
    expected = F.normalize(F.interpolate(coarse, scale_factor=4, mode="trilinear", align_corners=False), dim=1)
    torch.testing.assert_close(net(image), torch.cat([fine, expected], dim=1))


def test_volumes_are_padded_at_the_far_end():
    """So that a cell lies at the same voxels whatever the volume's size."""
    net, image = small(), random(1, 1, 12, 16, 9)
    torch.testing.assert_close(net(image), net(F.pad(image, [0, 7, 0, 0, 0, 4]))[:, :, :6, :8, :5])


def test_every_parameter_below_the_finest_map_gets_a_gradient():
    net = small().train()
    fine, coarse = net.embed(random(2, 1, 16, 16, 16))
    ((fine * torch.randn_like(fine)).sum() + (coarse * torch.randn_like(coarse)).sum()).backward()
    silent = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    assert silent == {"backbone.upsample.weight", "backbone.upsample.bias"}


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"embedding_dim .*0"):
        AnatomicalEmbeddingNet(UNet3d(), 0)
    backbone = UNet3d(1, (8, 16), 1)
    assert backbone.decoder_strides == (1,)
    with pytest.raises(ValueError, match=r"stride 2, .*\(1,\)"):
        AnatomicalEmbeddingNet(backbone)
    with pytest.raises(ValueError, match=r"\[1, 8, 8, 8\]"):
        small()(torch.zeros(1, 8, 8, 8))
