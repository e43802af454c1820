"""The network at the start of a run, and where a run writes."""

import logging
from dataclasses import replace

import pytest
import torch
from monai.transforms import Compose, Orientationd, ScaleIntensityRangePercentilesd, Spacingd
from passports import some_passport

from ssl3d.engines import run_folder, start_network, trained_network
from ssl3d.engines.publish import _joined
from ssl3d.methods import S2DC
from ssl3d.networks import ReconstructionNet, SegmentationNet, TokenNet, UNet3d
from ssl3d.weights import WeightsMismatch, passport_of, save


def network(classes: int = 3) -> SegmentationNet:
    return SegmentationNet(UNet3d(1, (8, 16)), classes)


@pytest.fixture
def file(tmp_path):
    passport = some_passport(corpus=[{"name": "none", "count": 1, "licence": "CC0"}], synthetic=True)
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


def test_a_head_of_another_shape_is_warned_of(file, caplog):
    start_network(network(3), "cpu", file, part="network")
    (warning,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert "head not loaded: 5 classes with background in the file, 3 here" in warning
    caplog.clear()
    with caplog.at_level(logging.INFO):
        start_network(network(3), "cpu", file)
    assert "100.0 % of the elements of the network's backbone fit" in caplog.text, "two are missing, in the head"
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]


def test_weights_of_pretraining_are_to_be_fine_tuned_first(file):
    save(ReconstructionNet(UNet3d(1, (8, 16)), 1), file, replace(passport_of(file), method="mae", network="X, student"))
    with pytest.raises(WeightsMismatch, match=f"Fine-tune first: python.*--pretrained {file}"):
        trained_network(network(3), "cpu", file)


@pytest.mark.parametrize(
    ("backbone", "flag"),
    [
        ("MyNet", "--network_def#backbone \"{'_target_': 'MODULE.MyNet', 'channels': [8, 32]}\""),
        ("UNet3d", "--network_def#backbone \"{'_target_': 'scripts.networks.UNet3d', 'channels': [8, 32]}\""),
    ],
)
def test_the_flag_of_another_backbone_is_shown(file, backbone, flag):
    passport = replace(passport_of(file), backbone=backbone, backbone_arguments={"channels": [8, 32]})
    save(SegmentationNet(UNet3d(1, (8, 32)), 3), file, passport)
    for load in (lambda: trained_network(network(3), "cpu", file), lambda: start_network(network(3), "cpu", file)):
        with pytest.raises(WeightsMismatch) as refusal:
            load()
        assert flag in str(refusal.value)


def unnamed(count, name="unnamed"):
    return {"name": name, "count": count, "licence": "unknown"}


@pytest.mark.parametrize(
    ("own", "former", "goes_on", "joined"),
    [
        ([unnamed(6)], [unnamed(122)], False, [unnamed(6), unnamed(122)]),
        ([unnamed(8)], [unnamed(6), unnamed(122)], True, [unnamed(8), unnamed(122)]),
        ([unnamed(8, "A")], [unnamed(6, "A"), unnamed(9, "B")], False, [unnamed(8, "A"), unnamed(9, "B")]),
    ],
)
def test_corpora_without_a_name_are_different_sets(own, former, goes_on, joined):
    assert _joined(own, former, goes_on) == joined


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
