"""Scores of a registration that is known, their table, the picture, and ANTs beside it."""

import csv
import json
import logging
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from matplotlib.image import imread
from monai.data import MetaTensor
from monai.engines.utils import IterationEvents

from ssl3d.tasks.registration import ants_baseline
from ssl3d.tasks.registration.ants_baseline import TRANSFORMS, ants_flow
from ssl3d.tasks.registration.grids import WarpOntoFixedd
from ssl3d.tasks.registration.picture import RegistrationPictures, cut
from ssl3d.tasks.registration.report import RegistrationReport
from ssl3d.tasks.registration.scores import ScoreRegistrationd, mean_dice, score

SIZE = (20, 22, 18)
MOVE = (3, -2, 1)  # voxels: where the moving anatomy lies from the fixed one
AFFINE = torch.diag(torch.tensor([1.0, 2.0, 1.5, 1.0], dtype=torch.float64))  # mm


def meta(array, affine=AFFINE) -> MetaTensor:
    return MetaTensor(torch.as_tensor(array)[None].float(), affine=affine)


def anatomy(move=(0, 0, 0)) -> tuple[torch.Tensor, torch.Tensor]:
    label = torch.zeros(SIZE)
    label[6:10, 6:12, 5:9], label[10:13, 6:12, 5:9] = 1, 4
    label = label.roll(move, dims=(0, 1, 2))
    noise = torch.rand(SIZE, generator=torch.Generator().manual_seed(0)).roll(move, dims=(0, 1, 2))
    return 0.3 * noise + 0.15 * label, label


def pair(found=MOVE, name="b_onto_a", **more) -> dict:
    """A pair as the network's post-processing has it, registered by the constant displacement ``found``."""
    (fixed, fixed_label), (moving, moving_label) = anatomy(), anatomy(MOVE)
    item = {
        "name": name,
        "fixed": meta(fixed),
        "fixed_scan": meta(fixed),
        "moving_scan": meta(moving),
        "fixed_label": meta(fixed_label),
        "moving_label": meta(moving_label),
        "moving_shift": torch.zeros(3, dtype=torch.float64),
        "image": MetaTensor(torch.stack([moving, fixed]), affine=AFFINE),
        "pred": MetaTensor(torch.tensor(found).float().view(3, 1, 1, 1).expand(3, *SIZE)),
        **more,
    }
    return ScoreRegistrationd()(WarpOntoFixedd()(item))


def landmarks(tmp_path, move=(0, 0, 0), extra=None) -> str:
    points = {"one": (7.0, 14.0, 9.0), "two": (10.0, 20.0, 12.0)}
    file = tmp_path / f"marks_{move}.json"
    marks = {key: {"world": (np.array(p) + np.array(move)).tolist()} for key, p in {**points, **(extra or {})}.items()}
    file.write_text(json.dumps(marks))
    return str(file)


def test_the_right_displacement_is_perfect():
    scores = pair()["scores"]
    assert scores.dice_after == 1
    assert scores.dice_before < 0.5
    assert scores.targets == "label centres"
    assert scores.tre_before == pytest.approx(np.linalg.norm(np.array(MOVE) * (1, 2, 1.5)))
    assert scores.tre_after == pytest.approx(0, abs=1e-4)
    assert scores.folding == 0


def test_no_displacement_changes_nothing_and_a_wrong_one_is_worse():
    nothing, wrong = pair(found=(0, 0, 0))["scores"], pair(found=(-3, 2, -1))["scores"]
    assert nothing.dice_after == nothing.dice_before
    assert nothing.tre_after == pytest.approx(nothing.tre_before)
    assert wrong.dice_after < nothing.dice_after
    assert wrong.tre_after == pytest.approx(2 * nothing.tre_before)


def test_landmarks_come_before_label_centres_by_name_and_only_inside_both_scans(tmp_path):
    marks = {
        "fixed_landmarks": landmarks(tmp_path, extra={"cut off": (500.0, 0, 0), "only here": (5.0, 5.0, 5.0)}),
        "moving_landmarks": landmarks(tmp_path, (3.0, -4.0, 0.0), extra={"cut off": (5.0, 9.0, 5.0)}),
    }
    scores = pair(**marks)["scores"]
    assert scores.targets == "landmarks"
    assert scores.tre_before == pytest.approx(5)
    assert scores.tre_after == pytest.approx(1.5, abs=1e-4), "the displacement is (3, -4, 1.5) mm"


@pytest.mark.parametrize("content", ["{", '{"one": {"voxel": [1, 2, 3]}}', '["one"]'])
def test_damaged_landmarks_are_named(tmp_path, content):
    (tmp_path / "damaged.json").write_text(content)
    with pytest.raises(ValueError, match=r"damaged\.json cannot be read as json points"):
        pair(fixed_landmarks=str(tmp_path / "damaged.json"), moving_landmarks=landmarks(tmp_path))


def test_without_labels_and_landmarks_only_folding_is_left():
    item = {key: value for key, value in pair().items() if "label" not in key}
    scores = score(item)
    assert np.isnan([scores.dice_before, scores.dice_after, scores.tre_before, scores.tre_after]).all()
    assert scores.targets == ""
    assert scores.sentence() == "folding 0.00 %"


def test_labels_that_only_one_scan_has_do_not_count():
    (_, fixed), (_, moving) = anatomy(), anatomy(MOVE)
    fixed[0, 0, 0], moving[19, 0, 0] = 7, 9
    assert pair(fixed_label=meta(fixed), moving_label=meta(moving))["scores"].dice_after == 1
    scores = pair(fixed_label=meta((fixed == 7).float()), moving_label=meta((moving == 4) * 4.0))["scores"]
    assert np.isnan(scores.dice_after)


def test_dice_by_hand():
    one, other = torch.tensor([1, 1, 1, 2, 0]), torch.tensor([1, 0, 0, 2, 2])
    assert mean_dice(one, other, [1, 2]) == pytest.approx((2 * 1 / 4 + 2 * 1 / 3) / 2)
    assert np.isnan(mean_dice(one, other, []))


def test_folding_is_the_share_of_voxels_that_turn_inside_out():
    item = pair()
    flow = torch.zeros(3, *SIZE)
    flow[0, 8:12] = -2 * torch.arange(4.0).view(
        4, 1, 1
    )  # planes 9 and 10 are reversed; central differences see 8 to 11
    share = score(item | {"pred": flow}).folding
    assert 100 * 2 / 20 <= share <= 100 * 4 / 20


def evaluate(handler, items, device="cpu") -> None:
    """What MONAI's evaluator does around the network, with the items in the place of its post-processing."""

    def step(engine, batch):
        engine.fire_event(IterationEvents.FORWARD_COMPLETED)
        keys = ("pred", "scores", "warped", "warped_label", "aligned_label", "field", "image")
        engine.state.batch = [{key: value for key, value in batch.items() if key not in keys}]
        engine.state.output = [{key: value for key, value in batch.items() if key in keys}]
        return engine.state.output

    engine = Engine(step)
    engine.register_events(*IterationEvents)
    engine.state.device = torch.device(device)
    handler.attach(engine)
    engine.run(items)


@pytest.fixture
def drawn(monkeypatch) -> list:
    """What the report would draw; nothing is drawn, which takes a second."""
    calls: list = []
    monkeypatch.setattr("ssl3d.tasks.registration.report.draw", lambda *arguments: calls.append(arguments))
    return calls


def test_the_report(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    moves = [(0, 0, 0), MOVE, (2, -1, 1)]
    evaluate(RegistrationReport(tmp_path), [pair(found, f"pair_{i}") for i, found in enumerate(moves)])
    with (tmp_path / "registration.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["pair"] for row in rows] == ["pair_0", "pair_1", "pair_2"]
    assert {row["method"] for row in rows} == {"GVSL"}
    assert {row["targets"] for row in rows} == {"label centres"}
    after = [float(row["dice_after"]) for row in rows]
    assert after[1] == 1
    assert all(0 <= float(row["seconds"]) < 5 for row in rows)
    table = (tmp_path / "registration.md").read_text()
    (line,) = [line for line in table.splitlines() if line.startswith("| GVSL")]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    assert cells[1] == "3"
    assert cells[3].startswith(f"{np.mean(after):.3f} (")
    low, high = (float(number) for number in cells[3].split("(")[1].rstrip(")").split(" to "))
    assert min(after) - 1e-3 <= low < np.mean(after) < high <= 1
    assert table in caplog.text
    assert "ynthetic" not in table
    assert (tmp_path / "median_pair.png").is_file()


def test_one_synthetic_pair_has_no_interval_and_says_what_it_is(tmp_path, drawn):
    evaluate(RegistrationReport(tmp_path), [pair(synthetic=True)])
    table = (tmp_path / "registration.md").read_text()
    assert table.startswith("Mechanics only: synthetic anatomy.")
    assert "| 1.000 |" in table


def test_the_picture_shows_the_median_pair(tmp_path, drawn):
    moves = [MOVE, (0, 0, 0), (2, -1, 1)]
    evaluate(RegistrationReport(tmp_path), [pair(found, f"pair_{i}") for i, found in enumerate(moves)])
    ((_, _, scores, name, synthetic),) = drawn
    assert name == "median pair pair_2"
    assert scores.dice_before < scores.dice_after < 1
    assert not synthetic


def test_slices_go_through_the_labels_and_show_what_is_registered():
    item = pair()
    axial, coronal, sagittal = cut(item)
    assert [s.plane.name for s in (axial, coronal, sagittal)] == ["axial", "coronal", "sagittal"]
    assert 6 <= sagittal.number < 13
    assert axial.spacing == [1, 2, 1.5]
    assert axial.length == pytest.approx(np.linalg.norm(np.array(MOVE) * (1, 2, 1.5)))
    np.testing.assert_array_equal(axial.labels["warped"], axial.labels["fixed"])
    assert (axial.labels["moving"] != axial.labels["fixed"]).any()
    inner = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(axial.images["warped"][inner], axial.images["fixed"][inner], atol=1e-5)
    assert axial.flow[:, 0, 0].tolist() == [-MOVE[0], -MOVE[1]], "columns and rows run against right and front"
    expected = item["image"][1, :, :, axial.number].T.numpy()[::-1, ::-1]
    np.testing.assert_array_equal(axial.images["fixed"], expected)


@pytest.mark.parametrize("labels", [True, False])
def test_a_picture_of_each_pair(tmp_path, caplog, labels):
    caplog.set_level(logging.INFO)
    item = pair()
    if not labels:
        item = ScoreRegistrationd()({key: value for key, value in item.items() if "label" not in key})
    evaluate(RegistrationPictures(tmp_path), [item])
    picture = imread(tmp_path / "b_onto_a" / "picture.png")
    assert picture.shape[1] == 1200
    orange = (np.round(picture[..., :3] * 255) == (230, 159, 0)).all(axis=-1)
    assert orange.any() == labels, "the first label's contour"
    assert ("Dice" in caplog.text) == labels


def test_flat_volumes_are_drawn_too(tmp_path):
    flat = pair(image=MetaTensor(torch.zeros(2, *SIZE), affine=AFFINE), found=(0, 0, 0))
    evaluate(RegistrationPictures(tmp_path), [flat])
    assert (tmp_path / "b_onto_a" / "picture.png").is_file()


def test_ants_that_is_not_installed_is_said_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(ants_baseline, "find_spec", lambda name: None)
    RegistrationReport(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=r"pip install antspyx"):
        RegistrationReport(tmp_path, ants=True)


def test_other_methods_are_scored_on_the_same_pairs(tmp_path, monkeypatch, drawn):
    calls = []

    def found(image, spacing, transform):
        calls.append((image.shape, spacing.tolist(), transform))
        return torch.tensor(MOVE).float().view(3, 1, 1, 1).expand(3, *SIZE), 2.5

    monkeypatch.setattr("ssl3d.tasks.registration.report.ants_flow", found)
    monkeypatch.setattr("ssl3d.tasks.registration.report.check_ants", lambda: None)
    evaluate(RegistrationReport(tmp_path, ants=True), [pair((0, 0, 0))])
    assert calls == [((2, *SIZE), [1, 2, 1.5], transform) for transform in ("Affine", "SyN")]
    with (tmp_path / "registration.csv").open() as stream:
        rows = {row["method"]: row for row in csv.DictReader(stream)}
    assert list(rows) == ["GVSL", *TRANSFORMS]
    assert float(rows["GVSL"]["dice_after"]) < 0.5
    assert float(rows["ANTs SyN"]["dice_after"]) == 1
    assert float(rows["ANTs SyN"]["seconds"]) == 2.5
    assert rows["GVSL"]["dice_before"] == rows["ANTs affine"]["dice_before"]


@pytest.mark.skipif(find_spec("ants") is None, reason="antspyx is not installed")
def test_ants_finds_a_displacement_in_our_convention():
    """Three different moves along three different axes: any exchange of axes, signs or units would show."""
    coarse = torch.rand(1, 1, 8, 9, 10, generator=torch.Generator().manual_seed(0))
    whole = torch.nn.functional.interpolate(coarse, size=(40, 45, 50), mode="trilinear", align_corners=True)[0, 0]
    fixed, moving = whole[4:34, 4:39, 4:44], whole[2:32, 5:40, 1:41]  # fixed(p) = moving(p + (2, -1, 3))
    flow, seconds = ants_flow(torch.stack([moving, fixed]), torch.tensor([1.0, 1.5, 2.0]), "Affine")
    assert flow[:, 15, 17, 20].tolist() == pytest.approx([2, -1, 3], abs=0.3)
    assert seconds > 0
