"""Loading: what matches, what counts, what is refused, and that a refused network keeps every bit."""

import io
import json
import logging
import os
import pickle

import pytest
import torch
from torch import nn

from ssl3d.networks import SegmentationNet, UNet3d
from ssl3d.weights import Passport, WeightsMismatch, load, resolve, save


def unet(seed: int = 0, in_channels: int = 1, channels: tuple[int, ...] = (8, 16)) -> UNet3d:
    torch.manual_seed(seed)
    return UNet3d(in_channels, channels)


def segmenter(seed: int = 0, classes: int = 3, **arguments) -> SegmentationNet:
    backbone = unet(seed, **arguments)
    return SegmentationNet(backbone, classes)


def passport(part: str, **changes) -> Passport:
    fields = {
        "method": "gvsl",
        "backbone": "UNet3d",
        "backbone_arguments": {"channels": [8, 16]},
        "part": part,
        "network": "student",
        "corpus": [],
        "synthetic": True,
        "spacing": [1, 1, 1],
        "orientation": "RAS",
        "intensity": {"kind": "z-score"},
        "roi_size": [16, 16, 16],
        "steps": 0,
        "seed": 0,
        "ssl3d_version": "0.1.0",
        "licence": "Apache-2.0",
    }
    return Passport(**(fields | changes))


def bits(network: nn.Module) -> dict[str, bytes]:
    return {name: tensor.contiguous().numpy().tobytes() for name, tensor in network.state_dict().items()}


def assert_equal(network: nn.Module, state: dict[str, torch.Tensor]) -> None:
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[name]), name


@pytest.mark.parametrize(
    "prefix", ["", "backbone.", "module.", "student.", "module.student.backbone.", "model.module."]
)
@pytest.mark.parametrize("container", [(), ("state_dict",), ("model",), ("model", "state_dict"), ("student",)])
def test_names_match_however_they_are_wrapped(tmp_path, prefix, container):
    source = unet(1)
    tree = {prefix + name: tensor for name, tensor in source.state_dict().items()}
    for word in container:
        tree = {word: tree, "epoch": 3, "optimizer": {"state": torch.zeros(10_000)}}
    torch.save(tree, tmp_path / "w.pt")
    for target in (segmenter(2), unet(2)):
        report = load(target, tmp_path / "w.pt", min_match=1.0)
        assert report.fraction == 1.0 and report.unexpected == [] and report.adapted == []
        assert_equal(getattr(target, "backbone", target), source.state_dict())
        assert report.missing == (["head.weight", "head.bias"] if isinstance(target, SegmentationNet) else [])


def test_the_most_literal_of_two_names_wins(tmp_path):
    right, wrong = unet(1).state_dict(), unet(2).state_dict()
    state = {f"student.backbone.{n}": t for n, t in wrong.items()} | {f"backbone.{n}": t for n, t in right.items()}
    torch.save(state, tmp_path / "w.pt")
    target = segmenter(3)
    report = load(target, tmp_path / "w.pt", part="backbone")
    assert_equal(target.backbone, right)
    assert report.unexpected == [f"student.backbone.{name}" for name in wrong]


def test_another_prefix(tmp_path):
    torch.save(unet(1).state_dict(), tmp_path / "w.pt")
    method = nn.ModuleDict({"student": segmenter(2), "teacher": segmenter(3)})
    teacher = bits(method["teacher"])
    load(method, tmp_path / "w.pt", part="backbone", prefix="student.backbone.", min_match=1.0)
    assert_equal(method["student"].backbone, unet(1).state_dict())
    assert bits(method["teacher"]) == teacher


def test_whole_model_into_the_same_network(tmp_path):
    source, target = segmenter(1), segmenter(2)
    save(source, tmp_path / "model.pt", passport("network"))
    report = load(target, tmp_path / "model.pt", part="network", min_match=1.0)
    assert report.matched == list(source.state_dict()) and report.missing == report.unexpected == []
    assert_equal(target, {name: tensor.half().float() for name, tensor in source.state_dict().items()})


def test_whole_model_asks_for_every_entry(tmp_path, caplog):
    state = segmenter(1).state_dict()
    del state["head.bias"]
    torch.save(state, tmp_path / "model.pt")
    target = segmenter(2)
    before = bits(target)
    with pytest.raises(WeightsMismatch, match=r"head\.bias") as caught:
        load(target, tmp_path / "model.pt", part="network", min_match=1.0)
    assert caught.value.report.missing == ["head.bias"]
    assert "99.9 %" in str(caught.value), "rounded to 100.0 % it would contradict itself"
    assert bits(target) == before


def test_part_backbone_leaves_a_head_of_the_same_shape_alone(tmp_path):
    save(segmenter(1), tmp_path / "model.pt", passport("network"))
    target = segmenter(2)
    head = bits(target.head)
    report = load(target, tmp_path / "model.pt", part="backbone", min_match=1.0)
    assert bits(target.head) == head
    assert report.missing == report.unexpected == ["head.weight", "head.bias"]


class SwinLike(nn.Module):
    """Most tensors in ``swinViT``, most elements elsewhere, as in SwinUNETR; its encoder1 is no part of the encoder."""

    encoder_prefix = "swinViT."

    def __init__(self, seed: int, scale: int = 1) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.swinViT = nn.Sequential(*(nn.Linear(4 * scale, 4 * scale) for _ in range(8)))
        self.encoder1 = nn.Linear(40, 40)
        self.decoder1 = nn.Linear(40, 40)


class Wrapped(nn.Module):
    def __init__(self, seed: int, scale: int = 1) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({"net": SwinLike(seed, scale)})


def test_the_encoder_counts_by_itself_in_elements(tmp_path):
    source = SwinLike(1)
    encoder = {name: tensor for name, tensor in source.state_dict().items() if name.startswith("swinViT")}
    save({f"net.{n}": t for n, t in encoder.items()}, tmp_path / "swin.pt", passport("encoder"))
    target = Wrapped(2)
    count = sum(t.numel() for t in encoder.values()) / sum(p.numel() for p in target.parameters())
    assert len(encoder) / len(target.state_dict()) == 0.8 and count < 0.1
    before = bits(target)

    with pytest.raises(WeightsMismatch) as caught:  # as a backbone it is too little, though 80 % of the tensors
        load(target, tmp_path / "swin.pt", part="backbone")
    assert caught.value.report.fraction == pytest.approx(count)
    assert len(caught.value.report.matched) == 16
    assert bits(target) == before

    report = load(target, tmp_path / "swin.pt")  # as what its passport claims it is complete
    assert report.fraction == 1.0
    assert torch.equal(target.backbone["net"].swinViT[3].weight, source.swinViT[3].weight.half().float())
    assert bits(target.backbone["net"].encoder1) == {
        n.removeprefix("backbone.net.encoder1."): b for n, b in before.items() if ".encoder1." in n
    }


def test_tensors_can_match_while_elements_do_not(tmp_path):
    state = SwinLike(1).state_dict()
    state["encoder1.weight"] = torch.zeros(3, 3)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(WeightsMismatch, match=r"encoder1\.weight \(\[3, 3\] in the file, \[40, 40\]") as caught:
        load(SwinLike(2), tmp_path / "w.pt", part="network")
    assert len(caught.value.report.matched) == 19
    assert caught.value.report.fraction < 0.6


def test_the_encoder_of_a_unet(tmp_path):
    source = unet(1)
    encoder = {name: t for name, t in source.state_dict().items() if name.startswith("encoder")}
    torch.save(encoder, tmp_path / "w.pt")
    target = segmenter(2)
    decoder = bits(target.backbone.decoder)
    assert load(target, tmp_path / "w.pt", part="encoder").fraction == 1.0
    assert_equal(target.backbone.encoder, source.encoder.state_dict())
    assert bits(target.backbone.decoder) == decoder
    with pytest.raises(WeightsMismatch):
        load(segmenter(2), tmp_path / "w.pt", part="backbone")
    assert load(segmenter(2), tmp_path / "w.pt").fraction == 1.0  # the file's own elements


def test_a_network_without_that_part_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"Linear does not say .* encoder_prefix"):
        load(nn.Linear(2, 2), tmp_path / "w.pt", part="encoder", min_match=0.0)


def test_without_passport_and_part_the_files_own_floating_elements_count(tmp_path):
    network = nn.Linear(9, 10, bias=False)
    state = {"weight": torch.ones(10, 9), "other": torch.ones(10), "counter": torch.zeros(1000, dtype=torch.int64)}
    torch.save(state, tmp_path / "w.pt")
    report = load(network, tmp_path / "w.pt", min_match=0.9)  # 90 of 100, the integers aside
    assert report.fraction == pytest.approx(0.9)
    assert report.unexpected == ["other", "counter"]
    state["other"] = torch.ones(11)
    torch.save(state, tmp_path / "w.pt")
    before = bits(network)
    with pytest.raises(WeightsMismatch):
        load(network, tmp_path / "w.pt", min_match=0.9)
    assert bits(network) == before


def test_wrong_widths_are_refused_bit_for_bit_with_the_passports_hint(tmp_path):
    save(unet(1), tmp_path / "w.pt", passport("backbone"))
    target = segmenter(2, channels=(16, 32))
    before = bits(target)
    with pytest.raises(WeightsMismatch) as caught:
        load(target, tmp_path / "w.pt")
    assert bits(target) == before
    for text in (str(tmp_path / "w.pt"), "90.0 %", "UNet3d", "[8, 16]", "unchanged", "in the file"):
        assert text in str(caught.value)


@pytest.mark.parametrize(("of_file", "of_network"), [(1, 3), (4, 1)])
def test_input_channels_are_adapted_to_the_same_response(tmp_path, of_file, of_network):
    source, target = unet(1, in_channels=of_file), segmenter(2, in_channels=of_network)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    report = load(target, tmp_path / "w.pt", part="backbone", min_match=1.0)
    assert report.adapted == ["backbone.encoder.0.0.weight"]
    assert report.adapted[0] not in report.matched + report.missing and report.unexpected == []
    image = torch.randn(1, 1, 8, 8, 8)
    with torch.no_grad():
        expected = source(image.expand(-1, of_file, -1, -1, -1)).decoder[-1]
        found = target.backbone(image.expand(-1, of_network, -1, -1, -1)).decoder[-1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert target.backbone.encoder[0][0].weight.is_contiguous(memory_format=torch.channels_last_3d)


def test_no_other_change_of_channels_is_adapted(tmp_path):
    torch.save(unet(1, in_channels=2).state_dict(), tmp_path / "w.pt")
    report = load(unet(2, in_channels=4), tmp_path / "w.pt", min_match=0.5)
    assert report.missing == report.unexpected == ["encoder.0.0.weight"]
    transposed = nn.Sequential(nn.Conv3d(1, 8, 1), nn.ConvTranspose3d(8, 1, 2))
    state = transposed.state_dict() | {"1.weight": torch.ones(8, 3, 2, 2, 2)}
    torch.save(state, tmp_path / "w.pt")
    assert load(transposed, tmp_path / "w.pt", min_match=0.0).missing == ["1.weight"]
    depthwise = nn.Sequential(nn.Conv3d(4, 4, 1), nn.Conv3d(4, 4, 3, groups=4))
    torch.save(depthwise.state_dict() | {"1.weight": torch.ones(4, 4, 3, 3, 3)}, tmp_path / "w.pt")
    assert load(depthwise, tmp_path / "w.pt", min_match=0.0).missing == ["1.weight"]


def test_files_are_cast_to_the_networks_dtype_and_integers_are_not_mixed_in(tmp_path):
    network = nn.BatchNorm3d(4).double()
    state = {name: t.half() if t.is_floating_point() else t + 5 for name, t in nn.BatchNorm3d(4).state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    load(network, tmp_path / "w.pt", part="network", min_match=1.0)
    assert network.weight.dtype == torch.float64 and network.num_batches_tracked == 5
    torch.save(state | {"num_batches_tracked": torch.tensor(3.0)}, tmp_path / "w.pt")
    report = load(network, tmp_path / "w.pt", part="network")
    assert report.missing == ["num_batches_tracked"] and network.num_batches_tracked == 5


def test_parameters_stay_the_same_objects_that_an_optimiser_holds(tmp_path):
    torch.save(unet(1).state_dict(), tmp_path / "w.pt")
    target = unet(2)
    held = [(p, p.data_ptr(), p.requires_grad) for p in target.parameters()]
    load(target, tmp_path / "w.pt")
    assert [(p, p.data_ptr(), p.requires_grad) for p in target.parameters()] == held


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_pickled_code_is_refused_and_does_not_run(tmp_path, writer):
    state = unet(1).state_dict() | {"extra": Malicious(f"touch '{tmp_path}/ran'")}
    if writer == "torch":
        torch.save(state, tmp_path / "evil.pt")
    else:
        (tmp_path / "evil.pt").write_bytes(pickle.dumps({"extra": state["extra"]}, protocol=2))
    target = unet(2)
    before = bits(target)
    with pytest.raises(ValueError, match=r"evil\.pt .*run code"):
        load(target, tmp_path / "evil.pt")
    assert bits(target) == before
    assert not (tmp_path / "ran").exists()


def test_damaged_files_are_named(tmp_path):
    buffer = io.BytesIO()
    torch.save(unet(1).state_dict(), buffer)
    path = tmp_path / "bad.pt"
    for content in (b"", b"hello world", buffer.getvalue()[:-300], buffer.getvalue()[:100], b"\0" * 500):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.pt cannot be read"):
            load(unet(2), path)
    for nothing in ({}, {"epoch": 3}, [torch.zeros(3)], torch.zeros(3), {0: torch.zeros(3)}):
        torch.save(nothing, path)
        with pytest.raises(ValueError, match=r"bad\.pt holds no tensors by name"):
            load(unet(2), path)
    for absent in (tmp_path / "absent.pt", tmp_path):
        with pytest.raises(FileNotFoundError, match=absent.name):
            load(unet(2), absent)


def test_a_file_must_be_the_one_of_its_passport(tmp_path):
    save(unet(1), tmp_path / "w.pt", passport("backbone"))
    torch.save(unet(3).state_dict(), tmp_path / "w.pt")
    target = unet(2)
    before = bits(target)
    with pytest.raises(ValueError, match=r"w\.pt is not the file that its passport w\.json"):
        load(target, tmp_path / "w.pt")
    (tmp_path / "w.json").write_text(json.dumps({"loss": [1, 2]}))
    with pytest.raises(ValueError, match=r"w\.json is not a passport"):
        load(target, tmp_path / "w.pt")
    assert bits(target) == before
    (tmp_path / "w.json").unlink()
    assert load(target, tmp_path / "w.pt").fraction == 1.0


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"min_match .*1\.5"):
        load(unet(), tmp_path / "w.pt", min_match=1.5)
    with pytest.raises(ValueError, match=r"part .*'decoder'"):
        load(unet(), tmp_path / "w.pt", part="decoder")


def test_the_report_reads_well_and_is_logged(tmp_path, caplog):
    state = unet(1, in_channels=2).state_dict() | {f"extra.{i}": torch.zeros(1) for i in range(9)}
    torch.save(state, tmp_path / "w.pt")
    with caplog.at_level(logging.INFO):
        report = load(segmenter(2), tmp_path / "w.pt", part="backbone")
    lines = str(report).splitlines()
    entries = len(unet().state_dict())
    assert lines == [
        f"100.0 % of the elements of the network's backbone fit. Entries: {entries - 1} matched, 1 adapted, 2 missing, "
        "9 unexpected.",
        "  adapted (other number of input channels): backbone.encoder.0.0.weight",
        "  missing (in the network, not filled: left as they were): head.weight, head.bias",
        "  unexpected (in the file, not used): extra.0, extra.1, extra.2, extra.3 and 5 more",
    ]
    assert str(report) in caplog.text and str(tmp_path / "w.pt") in caplog.text
    assert "2 -> 1 input channels" in caplog.text


@pytest.fixture
def bundles(tmp_path, monkeypatch):
    """Two folders of bundles: beside the asking one, and the one of the environment variable."""
    for folder in ("here/gvsl_pretraining", "there/gvsl_pretraining", "there/s2dc_pretraining"):
        (tmp_path / folder / "models").mkdir(parents=True)
        (tmp_path / folder / "models" / "model.pt").touch()
    (tmp_path / "here" / "asking").mkdir()
    monkeypatch.setenv("SSL3D_BUNDLES", str(tmp_path / "there"))
    monkeypatch.chdir(tmp_path / "here" / "asking")
    return tmp_path


@pytest.mark.parametrize("word", ["none", "None", "NONE", None])
def test_off_is_the_word_none(word, tmp_path):
    assert resolve(word, tmp_path) is None


@pytest.mark.parametrize("root", [".", "../asking", "absolute"])
def test_a_name_means_the_sibling_bundle_and_then_the_folder_of_the_environment(bundles, root):
    root = bundles / "here" / "asking" if root == "absolute" else root
    assert resolve("gvsl_pretraining", root) == bundles / "here/gvsl_pretraining/models/model.pt"
    assert resolve("s2dc_pretraining", root) == bundles / "there/s2dc_pretraining/models/model.pt"


def test_anything_else_is_a_path(bundles):
    (bundles / "here/asking/own.pth").touch()
    assert resolve("own.pth", ".").resolve() == bundles / "here/asking/own.pth"
    path = bundles / "there/s2dc_pretraining/models/model.pt"
    assert resolve(path, ".") == resolve(str(path), ".") == path


def test_what_is_not_found_says_where_it_looked_and_what_is_near(bundles):
    with pytest.raises(FileNotFoundError) as caught:
        resolve("gvls_pretraining", ".")
    for text in ("'gvls_pretraining'", str(bundles / "here/gvls_pretraining"), str(bundles / "there/gvls_pretraining")):
        assert text in str(caught.value)
    assert "Similar names: gvsl_pretraining" in str(caught.value)
    (bundles / "here/asking/own.pth").touch()
    with pytest.raises(FileNotFoundError, match=r"Similar names: own\.pth"):
        resolve("own.pt", ".")
    with pytest.raises(FileNotFoundError, match=r"models/model\.pt"):
        resolve("../gvsl_pretraining/models/modle.pt", ".")


def test_the_output_folder_of_a_run_means_its_weights(tmp_path):
    run = tmp_path / "my_run"
    (run / "demo").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"my_run/model\.pt.*the output folder of a run"):
        resolve(run, ".")
    (run / "demo" / "model.pt").touch()
    assert resolve(run, ".") == run / "demo" / "model.pt"
    (run / "model.pt").touch()
    assert resolve(f"{run}/", ".") == run / "model.pt"
