"""The bench builds what a bundle trains with, and its table adds up."""

import json
import re
import sys
from pathlib import Path

import pytest
from monai.utils import set_determinism

from ssl3d.release import bench

MODULE = sys.modules[bench.__module__]  # the function hides its module's name
BUNDLES = Path(__file__).parents[2] / "bundles"
METHODS = [path.name for ending in ("pretraining", "embedding") for path in sorted(BUNDLES.glob(f"*_{ending}"))]


@pytest.fixture(autouse=True)
def forget_scripts(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(MODULE, "WARM_UP_SECONDS", 0)  # no figure is taken here
    yield
    set_determinism(seed=None)
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        del sys.modules[name]


def rows(table: str) -> dict[str, float]:
    return {name: float(seconds) for name, seconds in re.findall(r"^\| (\w+).*? \| (-?[\d.]+) \|", table, re.MULTILINE)}


@pytest.mark.parametrize("name", METHODS)
def test_parts_add_up_to_the_step(name):
    one_crop = {"crops": (1, 1, 1)} if name == "s2dc_pretraining" else {}
    table = bench(BUNDLES / name, size=16, batch_size=1, repeats=1, overrides=one_crop)
    seconds = rows(table)
    assert list(seconds) == ["floor", "views", "losses", "optimiser", "whole"]
    whole = seconds.pop("whole")
    assert sum(seconds.values()) == pytest.approx(whole, abs=0.005)
    ratio, peak, before = (
        float(re.search(pattern, table)[1])
        for pattern in (r"floor: ([\d.]+)", r"process: ([\d.]+) GiB", r"; ([\d.]+) GiB before")
    )
    assert ratio == pytest.approx(whole / seconds["floor"], rel=0.1)
    assert peak >= before > 0.1
    assert "16 x 16 x 16 voxels, batch 1, cpu; median of 1" in table


def test_the_table_says_what_was_measured(monkeypatch):
    monkeypatch.setattr(MODULE, "measure", lambda *_: MODULE.Costs(2.0, 0.1, 2.2, 0.2, 2.5, (0.3, 0.9)))
    bundle = BUNDLES / "gvsl_pretraining"
    config = json.loads((bundle / "configs" / "train.json").read_text())
    table = bench(bundle, repeats=7)
    assert rows(table) == {"floor": 2.0, "views": 0.1, "losses": 0.2, "optimiser": 0.2, "whole": 2.5}
    assert "Whole step / floor: 1.25" in table
    assert "0.90 GiB after whole steps; 0.30 GiB before" in table
    size = " x ".join(map(str, config["roi_size"]))
    assert table.startswith(f"gvsl_pretraining, {size} voxels, batch {config['batch_size']}, cpu; median of 7")
    table = bench(bundle, paper="true", size=(64, 32, 32), batch_size=3)
    assert table.startswith("gvsl_pretraining at paper settings, 64 x 32 x 32 voxels, batch 3, cpu")


def test_paper_settings_are_the_published_width():
    bundle, channels = BUNDLES / "gvsl_pretraining", "network_def::student::backbone::channels"
    assert MODULE.read(bundle, paper=False).get(channels) == "$(16, 32, 64, 96)"
    assert MODULE.read(bundle, paper=True).get(channels) == "$(32, 64, 128, 256, 512)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (32, 32)}, "whole numbers"),
        ({"size": 0}, "whole numbers"),
        ({"batch_size": 0}, "whole numbers"),
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"paper": "maybe"}, "Expected true or false"),
        ({"overrides": {"lerning_rate": 1}}, "lerning_rate    did you mean learning_rate"),
    ],
)
def test_faults_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        bench(BUNDLES / "gvsl_pretraining", **arguments)


def test_only_pretraining_bundles(tmp_path):
    with pytest.raises(ValueError, match="is not a bundle"):
        bench(tmp_path)
    with pytest.raises(ValueError, match="no pre-training bundle"):
        bench(BUNDLES / "hippocampus_mri_segmentation")
