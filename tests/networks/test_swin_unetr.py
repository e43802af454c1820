"""The SwinUNETR backbone: MONAI's numbers and names, any size of input, the contract of feature maps."""

import pytest
import torch
from monai.networks.nets import SwinUNETR

from ssl3d.networks import SegmentationNet, SwinUNETRBackbone


@pytest.fixture(scope="module", params=[False, True], ids=["v1", "v2"])
def pair(request):
    torch.manual_seed(0)
    original = SwinUNETR(in_channels=1, out_channels=3, feature_size=12, use_v2=request.param).eval()
    ours = SegmentationNet(SwinUNETRBackbone(feature_size=12, use_v2=request.param), 3).eval()
    state = original.state_dict()
    ours.backbone.load_state_dict({k: v for k, v in state.items() if not k.startswith("out.")})
    ours.head.load_state_dict({k.removeprefix("out.conv.conv."): v for k, v in state.items() if k.startswith("out.")})
    return original, ours


def test_it_is_monais_network_weight_for_weight(pair):
    original, ours = pair
    x = torch.randn(1, 1, 32, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), original(x))


def test_features_follow_the_contract_at_any_size(pair):
    backbone = pair[1].backbone
    x = torch.randn(1, 1, 30, 33, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, encoder = backbone(x), backbone.encode(x)
    padded = (32, 64, 32)
    for maps, channels, strides in (
        (features.encoder, backbone.encoder_channels, backbone.encoder_strides),
        (features.decoder[:-1], backbone.decoder_channels[:-1], backbone.decoder_strides[:-1]),
    ):
        expected = [(1, c, *(n // s for n in padded)) for c, s in zip(channels, strides, strict=True)]
        assert [tuple(found.shape) for found in maps] == expected
    assert features.decoder[-1].shape == (1, backbone.decoder_channels[-1], 30, 33, 20)
    assert all(torch.equal(a, b) for a, b in zip(encoder, features.encoder, strict=True))


def test_padding_is_even_and_cropped_at_the_same_place(pair):
    """A volume with zeros around it gives, in its middle, what the volume alone gives."""
    backbone = pair[1].backbone
    x = torch.randn(1, 1, 28, 30, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone, padded = backbone(x), backbone(torch.nn.functional.pad(x, (0, 0, 1, 1, 2, 2)))
    torch.testing.assert_close(alone.decoder[-1], padded.decoder[-1][:, :, 2:-2, 1:-1])


def test_another_number_of_channels_is_refused():
    with pytest.raises(ValueError, match=r"takes \(B, 1, D, H, W\), got \[1, 2, 32, 32, 32\]"):
        SwinUNETRBackbone(feature_size=12)(torch.zeros(1, 2, 32, 32, 32))
