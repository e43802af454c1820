"""The network at the start of a run, and where a run writes."""

import logging
from dataclasses import replace

import pytest
import torch
from monai.transforms import Compose, Orientationd, ScaleIntensityRangePercentilesd, Spacingd

from ssl3d.engines import run_folder, start_network, trained_network
from ssl3d.methods import S2DC
from ssl3d.networks import SegmentationNet, TokenNet, UNet3d
from ssl3d.weights import Passport, WeightsMismatch, passport_of, save


def network(classes: int = 3) -> SegmentationNet:
    return SegmentationNet(UNet3d(1, (8, 16)), classes)


@pytest.fixture
def file(tmp_path):
    passport = Passport(
        method="test",
        backbone="UNet3d",
        backbone_arguments={},
        part="network",
        network="SegmentationNet",
        corpus=[{"name": "none", "count": 1, "licence": "CC0"}],
        synthetic=True,
        spacing=[1.0, 1.0, 1.0],
        orientation="RAS",
        intensity={"kind": "percentiles", "lower": 1, "upper": 99},
        roi_size=[16, 16, 16],
        steps=1,
        seed=0,
        ssl3d_version="0",
        licence="CC0",
    )
    save(network(5), tmp_path / "model.pt", passport)
    return tmp_path / "model.pt"


def test_the_backbone_is_filled_and_the_head_is_not(file):
    started = network(5)
    head = started.head.weight.clone()
    start_network(started, "cpu", file)
    stored = torch.load(file, weights_only=True)
    assert all(
        torch.equal(value.half(), stored[f"backbone.{key}"]) for key, value in started.backbone.state_dict().items()
    )
    assert torch.equal(started.head.weight, head)


def test_a_teacher_starts_as_its_student(file):
    method = S2DC(TokenNet(UNet3d(1, (8, 16)), 4, 8, 4), (1, 1, 1), queue_size=2)
    start_network(method, "cpu", file)
    stored = torch.load(file, weights_only=True)
    for key, value in method.teacher.state_dict().items():
        assert torch.equal(value, method.student.state_dict()[key])
        assert not key.startswith("backbone.") or torch.equal(value.half(), stored[key])


def test_training_goes_on_with_the_head_where_it_fits(file, caplog):
    stored = torch.load(file, weights_only=True)
    same, other = network(5), network(3)
    start_network(same, "cpu", file, part="network")
    assert torch.equal(same.head.weight.half(), stored["head.weight"])
    with caplog.at_level(logging.INFO):
        start_network(other, "cpu", file, part="network")
    assert torch.equal(other.backbone.encoder[0][0].weight.half(), stored["backbone.encoder.0.0.weight"])
    assert "2 missing" in caplog.text and "head.weight, head.bias" in caplog.text
    with pytest.raises(ValueError, match="pretrained_part must be backbone or network, got 'head'"):
        start_network(other, "cpu", file, part="head")


def test_none_leaves_the_random_weights(caplog):
    started = network()
    before = {key: value.clone() for key, value in started.state_dict().items()}
    with caplog.at_level(logging.INFO):
        start_network(started, "cpu", "none")
    assert all(torch.equal(before[key], value) for key, value in started.state_dict().items())
    assert "random weights" in caplog.text


def test_another_preprocessing_is_warned_of(file, caplog):
    same = [
        Orientationd("image", axcodes="RAS"),
        Spacingd("image", pixdim=(1, 1, 1)),
        ScaleIntensityRangePercentilesd("image", 1, 99, 0, 1),
    ]
    start_network(network(), "cpu", file, transform=Compose(same))
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    start_network(network(), "cpu", file, transform=Compose([same[0], Spacingd("image", pixdim=(2, 2, 2)), same[2]]))
    assert "spacing: the weights were trained with 1.0 x 1.0 x 1.0 mm, this run uses 2.0 x 2.0 x 2.0 mm" in caplog.text


def test_a_trained_network_must_fit_to_the_last_entry(file):
    loaded = trained_network(network(5), "cpu", file)
    assert not loaded.training
    with pytest.raises(WeightsMismatch, match=r"head\.weight"):
        trained_network(network(3), "cpu", file)


def test_demonstration_weights_are_warned_of(file, caplog):
    trained_network(network(5), "cpu", file)
    assert "DEMONSTRATION WEIGHTS, trained on synthetic anatomy, not for images of people" in caplog.text
    caplog.clear()
    passport = replace(passport_of(file), synthetic=False)
    save(network(5), file, passport)
    trained_network(network(5), "cpu", file)
    assert "DEMONSTRATION" not in caplog.text


def test_synthetic_items_make_a_demo(tmp_path):
    assert run_folder(tmp_path, [{"image": "a"}]) == tmp_path
    assert run_folder(tmp_path, [{"image": "a"}, {"image": "b", "synthetic": True}]) == tmp_path / "demo"


def test_of_a_backbone_whose_encoder_alone_was_trained_the_encoder_is_filled(file):
    save(network(5), file, replace(passport_of(file), trained="encoder"))
    started = network(3)
    decoder = {key: value.clone() for key, value in started.backbone.state_dict().items() if "decoder" in key}
    start_network(started, "cpu", file)
    stored, state = torch.load(file, weights_only=True), started.backbone.state_dict()
    for key, value in state.items():
        if key.startswith("encoder."):
            assert torch.equal(value.half(), stored[f"backbone.{key}"])
    assert decoder and all(torch.equal(state[key], value) for key, value in decoder.items())
