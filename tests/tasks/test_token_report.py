"""The report of a token network: purity, its rows and their baselines, and the picture of structures."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from ssl3d.methods import S2DC
from ssl3d.networks import TokenNet, UNet3d
from ssl3d.tasks.structures.picture import StructurePictures
from ssl3d.tasks.structures.report import TokenReport, purity
from ssl3d.transforms import AffineAugmentation, CorrespondenceViews
from ssl3d.weights import Passport, save


def test_purity_counts_labels_alike_however_large():
    label = torch.tensor([0] * 90 + [1] * 10)
    assert purity(label + 1, label) == 1
    assert purity(torch.ones(100), label) == pytest.approx(1 / 2), "one structure"
    half = torch.tensor([1] * 45 + [2] * 55)  # half of the background, the rest with all of the small label
    assert purity(half, label) == pytest.approx((0.5 + 1.0) / 2)
    assert purity(half, torch.zeros(100, dtype=torch.long)) == 1, "one label"


@pytest.fixture
def method():
    torch.manual_seed(3)
    return S2DC(TokenNet(UNet3d(1, (8, 16)), 4, 8, 8), (1, 1, 2), queue_size=2)


def evaluate(report, labels=True, volumes=3):
    """What an evaluator hands over: volumes that are warped by nothing, so that each token is its own partner."""
    still = AffineAugmentation(rotation=(0, 0, 0), scale=(1, 1), translation=(0, 0, 0))
    views = CorrespondenceViews((1, 1, 2), 4, still, intensity=0.0)
    report.rows.clear()
    for number in range(volumes):
        image = torch.rand(1, 1, 8, 8, 16, generator=torch.Generator().manual_seed(number))
        batch = {"image": image, "valid": torch.ones_like(image), "draw": torch.tensor([number])}
        state = SimpleNamespace(batch=batch | {"name": [f"volume{number}"]}, output={"image": views(batch)[0]})
        if labels:
            state.batch["label"] = (image > 0.9).float()
        report._collect(SimpleNamespace(state=state))
    report._write(None)
    with (report.directory / "tokens.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_tokens_that_do_not_move_find_themselves(method, tmp_path):
    rows = evaluate(TokenReport(tmp_path, method, structures=3))
    by_method = {
        name: [row for row in rows if row["method"] == name] for name in dict.fromkeys(r["method"] for r in rows)
    }
    assert all(len(found) == 3 for found in by_method.values())
    assert all(float(row["accuracy"]) == 1 for row in by_method["S2DC, tokens"] + by_method["untrained, encoder map"])
    assert all(float(row["accuracy"]) == pytest.approx(1 / 16) for row in by_method["chance"])
    assert all(float(row["purity"]) == 0.5 for row in by_method["one structure for all"])
    assert all(0.5 <= float(row["purity"]) <= 1 for row in by_method["S2DC, tokens"])
    table = (tmp_path / "tokens.md").read_text()
    assert "| S2DC, tokens | 1.000 (1.000 to 1.000) | 0." in table and "Mean over 3 volumes" in table


def test_without_labels_there_is_no_purity(method, tmp_path):
    rows = evaluate(TokenReport(tmp_path, method), labels=False)
    assert not any(row["purity"] for row in rows)
    assert {row["method"] for row in rows} == {"chance", "S2DC, tokens", "S2DC, encoder map", "untrained, encoder map"}


def test_the_untrained_network_is_another_one_and_the_same_each_time(method, tmp_path):
    first, again, other = (
        TokenReport(tmp_path, method, seed=seed).methods["untrained, encoder map"] for seed in (0, 0, 1)
    )
    weights = [made.backbone.encoder[0][0].weight for made in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], method.teacher.backbone.encoder[0][0].weight)


def test_a_baseline_is_loaded_and_one_that_is_not_there_is_named(method, tmp_path, caplog):
    torch.manual_seed(5)
    other = UNet3d(1, (8, 16))
    passport = Passport(
        method="mae",
        backbone="UNet3d",
        backbone_arguments=other.arguments,
        part="backbone",
        network="UNet3d",
        corpus=[{"name": "none", "count": 1, "licence": "CC0"}],
        synthetic=True,
        spacing=[1.0, 1.0, 1.0],
        orientation="RAS",
        intensity={"kind": "z-score"},
        roi_size=[8, 8, 16],
        steps=1,
        seed=0,
        ssl3d_version="0",
        licence="CC0",
    )
    save(other, tmp_path / "mae.pt", passport)
    with caplog.at_level("INFO"):
        report = TokenReport(tmp_path, method, {"MAE": str(tmp_path / "mae.pt"), "absent": "absent_pretraining"})
    loaded = report.methods["MAE, encoder map"].backbone.encoder[0][0].weight
    torch.testing.assert_close(loaded, other.encoder[0][0].weight, atol=1e-3, rtol=1e-3)
    assert "absent, encoder map" not in report.methods
    assert "absent is left out of the comparison. No weights for 'absent_pretraining'" in caplog.text


def test_the_picture_leaves_padding_out(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "ssl3d.tasks.structures.picture.draw", lambda path, image, *rest: drawn.update({path.name: (image, *rest)})
    )
    valid = torch.zeros(1, 8, 8, 8)
    valid[:, 1:7, 2:6] = 1
    item = {
        "name": "scan",
        "synthetic": True,
        "valid": valid,
        "scan": MetaTensor(valid * 7),
        "colours": torch.rand(3, 8, 8, 8),
        "drawn": torch.ones(1, 8, 8, 8, dtype=torch.uint8),
    }
    state = SimpleNamespace(batch=[item], output=[{}])
    StructurePictures(tmp_path)(SimpleNamespace(state=state))
    image, colours, structures, spacing, title = drawn["scan_structures.png"]
    assert image.shape == structures.shape == (6, 4, 8) and colours.shape == (3, 6, 4, 8)
    assert np.all(image == 7) and spacing == [1, 1, 1] and title.startswith("mechanics only")
