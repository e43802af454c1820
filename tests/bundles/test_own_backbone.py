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
from ssl3d.networks import Features, SegmentationNet
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
