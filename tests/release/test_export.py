"""Exported files give what PyTorch gives, for the sizes that the table names; what does not is marked and removed."""

import json
import logging
import re
import sys
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from ssl3d import cli
from ssl3d.networks import SegmentationNet, SwinUNETRBackbone, UNet3d
from ssl3d.release import export
from ssl3d.release.exporting import runtimes

MODULE = sys.modules[export.__module__]  # the function hides its module's name
BUNDLES = Path(__file__).parents[2] / "bundles"
NAMES = sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/inference.json"))
WINDOW = torch.rand(1, 1, 8, 12, 8)


@pytest.fixture(autouse=True)
def logger_levels():
    levels = {name: logging.getLogger(name).level for name in runtimes.CHATTY}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def small():
    torch.manual_seed(0)
    return SegmentationNet(UNet3d(channels=(8, 16), stem_stride=1), out_channels=2).eval()


def rows(table: str) -> dict[str, list[str]]:
    found = re.findall(r"^\| (PyTorch|TorchScript|ONNX Runtime) \| (.*) \|$", table, re.MULTILINE)
    return {name: line.split(" | ") for name, line in found}


@pytest.mark.parametrize("name", NAMES)
def test_every_bundle(name, tmp_path):
    (exported,) = export(BUNDLES, tmp_path, [name], repeats=1, any_size=False)
    assert exported.good, exported.table
    assert not [module for module in sys.modules if module.split(".")[0] == "scripts"]
    lines = rows(exported.table)
    assert [line[-1] for line in lines.values()][:2] == ["any", "any"]
    assert lines["ONNX Runtime"][-1].endswith(" only")
    with MODULE.scripts_of(BUNDLES / name):
        network, roi = MODULE.read_network(BUNDLES / name)
    metadata = (BUNDLES / name / "configs" / "metadata.json").read_text()
    image = torch.rand(1, json.loads(metadata)["network_data_format"]["inputs"]["image"]["num_channels"], *roi)
    extra = {"metadata.json": ""}
    scripted = torch.jit.load(str(tmp_path / name / "model.ts"), _extra_files=extra)
    assert extra["metadata.json"].decode() == metadata
    session = onnxruntime.InferenceSession(str(tmp_path / name / "model.onnx"))
    (given,) = session.run(None, {"image": image.numpy()})
    with torch.inference_mode():
        expected = network(image)
    scale = expected.abs().max().item()
    assert scale > 0.1
    torch.testing.assert_close(scripted(image), expected, rtol=0, atol=1e-6 * max(1, scale))
    torch.testing.assert_close(torch.from_numpy(given), expected, rtol=0, atol=1e-4 * max(1, scale))
    for file in (tmp_path / name).iterdir():
        assert str(Path.cwd()).encode() not in file.read_bytes(), "a path of this computer"


def test_onnx_takes_other_batches_and_multiples_of_the_stride(small, tmp_path):
    runtime = runtimes.to_onnx(small, WINDOW, tmp_path / "model.onnx", "{}")
    assert (runtime.step, runtime.note) == (2, "")
    with torch.inference_mode():
        for shape in ((1, 1, 8, 12, 8), (3, 1, 2, 6, 20), (2, 1, 16, 4, 4)):
            image = torch.rand(*shape)
            torch.testing.assert_close(runtime.call(image), small(image), rtol=0, atol=1e-4)
    assert MODULE.differences(small, WINDOW, runtime)[1] < 1e-4


def test_what_cannot_be_scripted_is_traced_and_says_so(tmp_path):
    ones = (1, 1, 1, 1)
    network = SegmentationNet(SwinUNETRBackbone(feature_size=12, depths=ones, num_heads=ones), 2).eval()
    window = torch.rand(1, 1, 32, 32, 64)
    runtime = runtimes.to_torchscript(network, window, tmp_path / "model.ts", "{}")
    assert runtime.step == runtimes.FIXED
    assert "traced, since it cannot be scripted" in runtime.note
    (_, row) = MODULE.compare(network, window, [runtime], repeats=1)
    assert row.good and row.runtime.call(window).abs().max() > 0
    shown = "\n".join(MODULE.table([MODULE.Row(runtimes.Runtime("PyTorch", network), 0, 0, [1.0]), row], (32, 32, 64)))
    assert rows(shown)["TorchScript"][-1] == "32 x 32 x 64 only"
    assert "TorchScript: traced" in shown


def test_wrong_weights_are_marked_and_removed(small, tmp_path, monkeypatch, capsys):
    def damaged(network, window, file, *_):
        runtimes.save_onnx(network, window, file, "{}", runtimes.FIXED)
        model = onnx.load(str(file))
        weight = next(entry for entry in model.graph.initializer if len(entry.dims) == 5)
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + 1e-3, weight.name))
        onnx.save(model, str(file))
        return runtimes.Runtime("ONNX Runtime", runtimes.session(file), runtimes.FIXED, "", file)

    monkeypatch.setattr(MODULE, "read_network", lambda _: (small, [8, 12, 8]))
    monkeypatch.setattr(MODULE, "to_onnx", damaged)
    monkeypatch.setattr(sys, "argv", ["ssl3d", "export", NAMES[0], "--output_dir", str(tmp_path), "--repeats", "1"])
    monkeypatch.chdir(BUNDLES.parent)
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    shown = rows(capsys.readouterr().out)
    assert "too large, the file was removed" in shown["ONNX Runtime"][0]
    assert shown["TorchScript"][-1] == "any"
    assert [file.name for file in (tmp_path / NAMES[0]).iterdir()] == ["model.ts"]


@pytest.mark.parametrize("wrong", [lambda x: x * float("nan"), lambda x: x[:, :, 1:]])
def test_no_number_or_another_size_is_no_good(small, wrong):
    runtime = runtimes.Runtime("ONNX Runtime", lambda image: wrong(small(image)))
    assert not MODULE.compare(small, WINDOW, [runtime], repeats=1)[1].good


def test_the_bound_grows_with_large_outputs_only(small):
    def off_by(amount: float, scale: float) -> MODULE.Row:
        network = torch.nn.Threshold(2.0, scale)  # a constant
        runtime = runtimes.Runtime("ONNX Runtime", lambda image: network(image) + amount)
        return MODULE.compare(network, WINDOW, [runtime], repeats=1)[1]

    assert off_by(5e-5, 0.01).good and not off_by(2e-4, 0.01).good
    assert off_by(1e-3, 20.0).good and not off_by(4e-3, 20.0).good


def test_a_network_that_onnx_runtime_cannot_run_is_a_line_with_the_reason(tmp_path):
    class Cosine(torch.nn.Module):
        encoder_strides = (1,)

        def forward(self, image):
            return image.double().cos().float()

    runtime = runtimes.to_onnx(Cosine(), WINDOW, tmp_path / "model.onnx", "{}", any_size=False)
    assert runtime.call is None and list(tmp_path.iterdir()) == []
    found = MODULE.compare(Cosine(), WINDOW, [runtime], repeats=1)
    assert not found[1].good
    assert re.search(r"^\| ONNX Runtime \| none: .*Cos", "\n".join(MODULE.table(found, (8, 12, 8))), re.MULTILINE)


def test_faults_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"has no bundle 'nothing_like_it'. There are: "):
        export(BUNDLES, tmp_path, ["nothing_like_it"])
    with pytest.raises(ValueError, match="holds no bundles"):
        export(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        export(BUNDLES, tmp_path, repeats=0)
    (tmp_path / "configs").mkdir()
    with pytest.raises(ValueError, match=r"inference\.json does not exist"):
        MODULE.read_network(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"Exports need onnxscript: pip install onnxscript"):
        export(BUNDLES, tmp_path)
