"""The residual-encoder U-Net: nnU-Net's numbers, the contract of a backbone, every task on top of it."""

import pytest
import torch
from monai.networks.utils import eval_mode

from ssl3d.engines.backbone_check import check_backbone
from ssl3d.networks import (
    AnatomicalEmbeddingNet,
    DenseFeatureNet,
    RegistrationNet,
    ResidualEncoderUNet3d,
    SegmentationNet,
    TokenNet,
)

SMALL = {"channels": (8, 16, 24), "blocks": (1, 2, 1)}


def small(seed=0, **settings):
    torch.manual_seed(seed)
    return ResidualEncoderUNet3d(**{**SMALL, **settings})


def test_as_many_parameters_as_nnunets_medium_preset():
    """Counted by hand from the layers of the preset: 3x3x3 convolutions with bias, affine norms, shortcuts without."""
    widths, blocks = (32, 64, 128, 256, 320, 320), (1, 3, 4, 6, 6, 6)

    def block(narrow, wide, size=27, bias=True):
        return size * narrow * wide + wide * (3 if bias else 2)

    expected, before = block(1, 32), 32
    for wide, count in zip(widths, blocks, strict=True):
        expected += block(before, wide) + block(wide, wide) + (count - 1) * 2 * block(wide, wide)
        expected += block(before, wide, size=1, bias=False) if before != wide else 0
        before = wide
    for coarse, fine in zip(widths[:0:-1], widths[-2::-1], strict=True):
        expected += 8 * coarse * fine + fine + block(2 * fine, fine)
    assert sum(parameter.numel() for parameter in ResidualEncoderUNet3d().parameters()) == expected


@pytest.mark.parametrize("size", [(8, 8, 8), (9, 12, 7), (4, 5, 6)])
def test_maps_have_the_channels_and_strides_that_are_promised(size):
    backbone = small(in_channels=2)
    features = backbone(torch.rand(2, 2, *size))
    padded = [-(-length // 4) * 4 for length in size]
    for maps, channels, strides in (
        (features.encoder, backbone.encoder_channels, backbone.encoder_strides),
        (features.decoder[:-1], backbone.decoder_channels[:-1], backbone.decoder_strides[:-1]),
    ):
        assert [tuple(m.shape[1:]) for m in maps] == [
            (width, *(length // stride for length in padded)) for width, stride in zip(channels, strides, strict=True)
        ]
    assert features.decoder[-1].shape == (2, 8, *size)
    image = torch.rand(1, 2, *size)
    for given, complete in zip(backbone.encode(image), backbone(image).encoder, strict=True):
        assert torch.equal(given, complete)


def test_the_shortcut_alone_is_left_where_the_convolutions_are_silent():
    block = small().encoder[1][0]
    torch.nn.init.zeros_(block.second.adn.N.weight)
    x = torch.rand(1, 8, 4, 4, 4)
    expected = block.activation(block.project(torch.nn.functional.avg_pool3d(x, 2)))
    assert torch.equal(block(x), expected)


def test_every_weight_gets_a_gradient():
    backbone = small()
    features = backbone(torch.rand(1, 1, 8, 8, 8))
    (features.decoder[-1] * torch.rand(1, 8, 8, 8, 8)).sum().backward()
    for name, parameter in backbone.named_parameters():
        followed_by_norm = name.endswith("conv.bias")  # instance normalisation takes any constant away
        assert followed_by_norm or parameter.grad.abs().sum() > 0, name


def test_it_takes_the_place_of_any_backbone():
    check_backbone(SegmentationNet(small(), 2))
    image = torch.rand(1, 1, 8, 8, 8)
    assert SegmentationNet(small(), 2)(image).shape == (1, 2, 8, 8, 8)
    assert TokenNet(small(), 2, 8, 8)(image).shape == (1, 8, 4, 4, 4)
    assert DenseFeatureNet(small(), 2)(image).shape == (1, 16, 4, 4, 4)
    assert AnatomicalEmbeddingNet(small())(image).shape == (1, 64, 4, 4, 4)
    assert RegistrationNet(small(), 8, 8)(torch.rand(1, 2, 8, 8, 8)).shape == (1, 3, 8, 8, 8)


def test_it_can_be_scripted():
    backbone, x = small().eval(), torch.rand(1, 1, 9, 8, 8)
    scripted = torch.jit.script(backbone)
    with eval_mode(backbone):
        torch.testing.assert_close(scripted(x).decoder[-1], backbone(x).decoder[-1])


def test_its_arguments_build_it_again():
    first = small()
    second = ResidualEncoderUNet3d(**first.arguments)
    second.load_state_dict(first.state_dict())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"channels": (8,)}, "two or more"),
        ({"blocks": (1, 1)}, "each of 3 levels"),
    ],
)
def test_bad_arguments_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        small(**settings)
