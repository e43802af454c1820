"""The page on backbones: its example trains, and what a backbone lacks is named before training."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
from bundles.conftest import BUNDLES, TINY, TRAIN, copy_bundle, workflow
from torch import nn

from ssl3d.engines.backbone_check import check_backbone
from ssl3d.methods.alice import AliceBranch
from ssl3d.networks import DenseFeatureNet, Features, ProjectionHead, RegistrationNet, SegmentationNet, TokenNet
from ssl3d.weights import passport

PAGE = (BUNDLES.parent / "docs" / "backbone.md").read_text()
CODE = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.fixture
def my_backbone(tmp_path, monkeypatch):
    (tmp_path / "my_backbone.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_backbone", raising=False)
    from my_backbone import MyBackbone

    return MyBackbone


@pytest.mark.parametrize("size", [(8, 8, 8), (9, 7, 10)])
def test_the_example_keeps_its_word(my_backbone, size):
    check_backbone(SegmentationNet(my_backbone(), 3))
    assert SegmentationNet(my_backbone(), 3)(torch.zeros(1, 1, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize(
    ("name", "key"),
    [("hippocampus_mri_segmentation", "network_def#backbone"), ("mae_pretraining", "network_def#student#backbone")],
)
def test_the_override_of_the_page_trains_and_the_passport_names_the_class(
    name, key, my_backbone, tmp_path, monkeypatch, forget_scripts
):
    words = shlex.split(re.search(r"--network_def#backbone .*", PAGE)[0])
    assert words[1] == "{'_target_': 'my_backbone.MyBackbone'}"
    root = copy_bundle(name, tmp_path)
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(root)
    workflow(TRAIN, "train", **TINY, **{key: {"_target_": "my_backbone.MyBackbone"}}).run()
    written = passport.read(Path("output") / "demo" / "model.json")
    assert (written.backbone, written.backbone_arguments) == ("MyBackbone", {"in_channels": 1})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder_strides": None}, "needs encoder_strides"),
        ({"decoder_channels": "16"}, "needs decoder_channels"),
        ({"arguments": None}, "needs arguments"),
        ({"arguments": {"channels_in": 1}}, "constructor takes: in_channels, not {'channels_in': 1}"),
        ({"arguments": {"in_channels": torch.ones(1)}}, "holds a Tensor under 'in_channels'"),
        ({"forward": lambda x, y: x}, "must take one image (B, C, D, H, W) and nothing else"),
        ({"encoder_channels": (16, 8)}, "encoder maps of channels"),
        ({"decoder_strides": (2,)}, "decoder maps of channels"),
        ({"forward": lambda x: x}, "returns Tensor, not Features"),
        ({"forward": lambda x: 1 / 0}, "fails on an image of shape [1, 1, 4, 4, 4]"),
        ({"forward": lambda x: Features([x], [x])}, "encoder maps"),
    ],
)
def test_what_a_backbone_lacks_is_named(my_backbone, change, words):
    backbone = my_backbone()
    network = nn.Module()
    network.backbone = backbone
    for name, value in change.items():
        setattr(backbone, name, value)
    with pytest.raises(ValueError, match="MyBackbone") as refusal:
        check_backbone(network)
    assert words in str(refusal.value)
    assert backbone.training


LACKING = """
from torch import nn


class Bare(nn.Module):
    encoder_channels, encoder_strides = (16,), (1,)
"""
EVERYTHING = "The backbone Bare needs decoder_channels, decoder_strides (a tuple"


@pytest.mark.parametrize("value", [{"_target_": "bare.Bare"}, "$__import__('bare').Bare()"])
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("hippocampus_mri_segmentation", "network_def#backbone"),
        ("s2dc_pretraining", "network_def#student#backbone"),
        ("gvsl_pretraining", "network_def#student#backbone"),
        ("alice_pretraining", "network_def#student#backbone"),
        ("anatomical_landmark_embedding", "network_def#student#backbone"),
    ],
)
def test_everything_that_is_missing_is_named_before_heads_are_built(
    name, key, value, tmp_path, monkeypatch, forget_scripts
):
    (tmp_path / "bare.py").write_text(LACKING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bare", raising=False)
    root = copy_bundle(name, tmp_path)
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(root)
    with pytest.raises(RuntimeError) as refusal:
        workflow(TRAIN, "train", **TINY, **{key: value}).run()
    assert EVERYTHING in str(refusal.value.__cause__) and "and arguments (a dict" in str(refusal.value.__cause__)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (lambda backbone: TokenNet(backbone, stride=8), "set it with --cell"),
        (lambda backbone: DenseFeatureNet(backbone, stride=4), "network_def#stride"),
        (lambda backbone: AliceBranch(backbone, ProjectionHead(96, 64)), "encoder_channels 32, decoder_channels 16"),
    ],
)
def test_heads_name_the_key_that_fits_them_to_a_backbone(my_backbone, head, words):
    with pytest.raises(ValueError, match=words):
        head(my_backbone())


def test_registration_names_the_decoder_map_that_it_needs(my_backbone):
    backbone = my_backbone()
    backbone.encoder_strides = (2, 4)
    with pytest.raises(ValueError, match=r"first encoder map, 2. The decoder strides of the backbone are \(1,\)"):
        RegistrationNet(backbone)
