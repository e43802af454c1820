"""The U-Net against the golden network, its contract and its bad arguments."""

import json

import pytest
import torch
from golden import DATA, assert_statistics, cases, golden_weight, hash_uniform, unit_wave

from ssl3d.networks import SegmentationNet, UNet3d


def test_hash_of_the_golden_weights():
    expected = cases("gvsl")["hash_u"]["expected"]["u"]
    torch.testing.assert_close(hash_uniform(8, 3), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-11)


def golden_network() -> UNet3d:
    order = json.loads((DATA / "gvsl.json").read_text())["meta"]["weights_order"]
    network = UNet3d(1, (32, 64, 128, 256, 512), stem_stride=1)
    parameters = list(network.parameters())
    entries = [(name, shape) for name, shape in order if name.startswith("unet.")]
    assert [list(p.shape) for p in parameters] == [shape for _, shape in entries]
    with torch.no_grad():
        for position, (parameter, (name, _)) in enumerate(zip(parameters, entries, strict=True)):
            parameter.copy_(golden_weight(parameter.shape, position, name))
    return network


def test_golden_forward_at_the_published_width():
    network = golden_network()
    assert sum(p.numel() for p in network.parameters()) == 23_538_144
    with torch.no_grad():
        features = network(unit_wave((1, 1, 32, 32, 32)).float())
    expected = cases("gvsl")["gvsl_forward_32x32x32"]["expected"]
    assert_statistics(features.encoder[-1], expected["fA_g"], rtol=1e-4, atol=2e-3)
    assert_statistics(features.decoder[-1], expected["fA_l"], rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize(
    ("stem_stride", "encoder", "decoder"), [(1, (1, 2, 4, 8), (4, 2, 1)), (2, (2, 4, 8, 16), (8, 4, 2, 1))]
)
def test_channels_and_strides_are_known_and_true(stem_stride, encoder, decoder):
    network = UNet3d(2, (8, 16, 24, 32), stem_stride)
    assert network.encoder_strides == encoder
    assert network.decoder_strides == decoder
    size = (16, 32, 48)
    features = network(torch.randn(2, 2, *size))
    for maps, channels, strides in (
        (features.encoder, network.encoder_channels, network.encoder_strides),
        (features.decoder, network.decoder_channels, network.decoder_strides),
    ):
        assert [tuple(m.shape) for m in maps] == [
            (2, c, *(n // s for n in size)) for c, s in zip(channels, strides, strict=True)
        ]


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1, 1), (7, 19, 16), (17, 16, 31)])
def test_any_size_comes_back_at_input_resolution(stem_stride, size):
    network = UNet3d(1, (8, 16, 16), stem_stride)
    assert network(torch.randn(1, 1, *size)).decoder[-1].shape == (1, 8, *size)


def test_padding_is_even_zeros_and_cropped_back():
    network = UNet3d(1, (8, 16), stem_stride=2).eval()
    x = torch.randn(1, 1, 5, 8, 6)
    padded = torch.nn.functional.pad(x, (1, 1, 0, 0, 1, 2))  # stride 4: 6 -> 8 and 5 -> 8, the odd voxel behind
    torch.testing.assert_close(network(x).decoder[-1], network(padded).decoder[-1][:, :, 1:6, :, 1:7])


def test_every_parameter_gets_a_gradient():
    network = SegmentationNet(UNet3d(1, (8, 16, 24)), 3)
    network(torch.randn(1, 1, 16, 16, 16)).square().mean().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


def test_segmentation_net_scripts_with_a_dynamic_size():
    network = SegmentationNet(UNet3d(1, (8, 16)), 4).eval()
    scripted = torch.jit.script(network)
    for size in ((8, 8, 8), (9, 12, 5)):
        x = torch.randn(2, 1, *size)
        assert network(x).shape == (2, 4, *size)
        torch.testing.assert_close(scripted(x), network(x))


def test_segmentation_net_keys_are_backbone_and_head():
    assert {key.split(".")[0] for key in SegmentationNet(UNet3d(), 2).state_dict()} == {"backbone", "head"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": (16,)}, r"\(16,\)"),
        ({"channels": (16, 20)}, "20"),
        ({"stem_stride": 3}, "3"),
        ({"in_channels": 0}, "0"),
    ],
)
def test_bad_arguments_are_refused_with_their_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        UNet3d(**arguments)


@pytest.mark.parametrize("shape", [(1, 2, 8, 8, 8), (1, 8, 8, 8), (8, 8)])
def test_wrong_input_names_the_shape(shape):
    with pytest.raises(ValueError, match=str(list(shape)).replace("[", r"\[").replace("]", r"\]")):
        UNet3d()(torch.zeros(shape))


def test_segmentation_net_needs_a_class():
    with pytest.raises(ValueError, match="0"):
        SegmentationNet(UNet3d(), 0)
