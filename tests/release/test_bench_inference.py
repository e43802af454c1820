"""The bench of inference runs what inference.json holds, and its table adds up."""

import json
import re
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ssl3d.release import bench_inference

MODULE = sys.modules[bench_inference.__module__]
BUNDLES = Path(__file__).parents[2] / "bundles"
BUNDLE = BUNDLES / "hippocampus_mri_segmentation"
STAGES = "check of the file, read, orient, resample, intensity, windows, of which network calls, argmax, invert, write"


@pytest.fixture(autouse=True)
def forget_scripts(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]


def test_stages_are_those_of_the_config_and_add_up():
    table = bench_inference(BUNDLE, size=(40, 36, 20), repeats=1)
    found = re.findall(r"^\| (.*?) \| ([\d.]+) \| ([\d.]+)% \| ([\d.]+) \|$", table, re.MULTILINE)
    assert ", ".join(name for name, *_ in found) == f"{STAGES}, whole run"
    seconds = {name: float(value) for name, value, *_ in found}
    calls, whole = seconds.pop("of which network calls"), seconds.pop("whole run")
    assert sum(seconds.values()) == pytest.approx(whole, abs=0.006)
    assert 0 < calls <= seconds["windows"]
    assert float(re.search(r"Whole run / network calls: ([\d.]+)", table)[1]) == pytest.approx(whole / calls, rel=0.1)
    peak, before = (float(value) for value in re.search(r"process: ([\d.]+) GiB; ([\d.]+) GiB before", table).groups())
    assert peak >= before > 0.1
    assert "CT of 40 x 36 x 20 voxels" in table and "0.75 x 0.75 x 1.5 mm, cpu; fastest of 1" in table


def test_the_weights_are_spoken_of_once(caplog):
    with caplog.at_level("INFO"):
        bench_inference(BUNDLES / "abdominal_ct_segmentation", size=24, repeats=3)
    assert caplog.text.count("DEMONSTRATION WEIGHTS") == 1
    assert caplog.text.count("Loaded ") == 1


def test_a_changed_config_changes_the_table(tmp_path):
    bundle = Path(shutil.copytree(BUNDLE, tmp_path / "bundle"))
    file = bundle / "configs" / "inference.json"
    config = json.loads(file.read_text())
    config["preprocessing"]["transforms"].append({"_target_": "SpatialPadd", "keys": "image", "spatial_size": 40})
    file.write_text(json.dumps(config))
    assert "| SpatialPadd | " in bench_inference(bundle, size=24, repeats=1)


def test_the_made_ct(tmp_path):
    size = MODULE.write_ct(tmp_path / "ct.nii.gz", (40, 32, 10), (0.8, 0.7, 2.0))
    image = nib.load(tmp_path / "ct.nii.gz")
    voxels = np.asanyarray(image.dataobj)
    assert voxels.dtype == np.int16 and voxels.shape == (40, 32, 10)
    assert image.header.get_zooms() == pytest.approx((0.8, 0.7, 2.0))
    assert voxels[0, 0].mean() == pytest.approx(-1000, abs=20) and voxels[20, 16].mean() > -400
    assert size == pytest.approx((tmp_path / "ct.nii.gz").stat().st_size / 1e6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (32, 32)}, r"got \(32, 32\)"),
        ({"size": 1}, r"got \(1, 1, 1\)"),
        ({"spacing": (1, 0, 1)}, r"got \(1, 0, 1\)"),
        ({"repeats": 0}, "got 0"),
    ],
)
def test_faults_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        bench_inference(BUNDLE, **arguments)


def test_only_segmentation_bundles(tmp_path):
    with pytest.raises(ValueError, match="is not a bundle"):
        bench_inference(tmp_path)
    for name in ("gvsl_pretraining", "mae_pretraining"):
        with pytest.raises(ValueError, match="no segmentation bundle"):
            bench_inference(BUNDLES / name)
