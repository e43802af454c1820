"""The study's bookkeeping, with a program in the place of the bundle runs that writes what they write."""

import csv
import json
import sys
from pathlib import Path

import pytest

from ssl3d.evaluation.study import study

MODULE = sys.modules[study.__module__]  # the function hides its module's name


@pytest.fixture
def bundle(tmp_path) -> Path:
    configs = tmp_path / "toy_segmentation" / "configs"
    configs.mkdir(parents=True)
    (configs / "train.json").write_text("{}")
    channels = {"0": "background", "1": "head", "2": "tail"}
    (configs / "metadata.json").write_text(
        json.dumps({"network_data_format": {"outputs": {"pred": {"channel_def": channels}}}})
    )
    return configs.parent


@pytest.fixture
def runs(monkeypatch):
    """Records the commands and writes results: Dice = 0.5 + labels / 100 + seed * 0.002 + 0.01 for the second case."""
    commands: list[list[str]] = []

    def run(command, *, stdout, **_):
        commands.append(command)
        option = dict(zip(command[6::2], command[7::2], strict=False))
        folder = Path(option["--output_dir"])
        if "evaluate" in command[5]:
            (folder / option["--section"]).mkdir()
            base = 0.5 + int(option["--num_labelled"]) / 100 + int(option["--seed"]) * 0.002
            base += 0.02 * ("x_pretraining" in option["--output_dir"])
            for metric, scale in (("val_mean_dice", 1), ("val_hausdorff95", 10)):
                with (folder / option["--section"] / f"{metric}_raw.csv").open("w", newline="") as file:
                    rows = [[f"{c}.nii", v * scale, v * scale, v * scale] for c, v in (("b", base + 0.01), ("a", base))]
                    csv.writer(file).writerows([["filename", "class0", "class1", "mean"], *rows])
        else:
            synthetic = "synthetic" in option["--dataset_dir"]
            run_dir = folder / "demo" if synthetic else folder
            Path(option["--model_dir"]).mkdir()
            (Path(option["--model_dir"]) / "model.pt").write_text("")
            history = "epoch,steps,seconds,val_mean_dice\n1,50,30,0.5\n2,100,30,0.6\n3,150,30,0.61\n"
            (run_dir / "history.csv").write_text(history)
        return MODULE.subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(MODULE.subprocess, "run", run)
    return commands


def test_every_combination_is_trained_then_evaluated_once(bundle, tmp_path, runs):
    arguments = (bundle, tmp_path / "data", tmp_path / "out")
    table = study(*arguments, labels=(4, 16), seeds=(0, 1), section="test", jobs=1)
    assert len(runs) == 8
    assert [("evaluate" in command[5]) for command in runs] == [False, True] * 4
    assert all("--resume" in command for command in runs[::2])
    rows = [line.split("|") for line in table.read_text().splitlines() if line.startswith("| scratch")]
    assert [row[2].strip() for row in rows] == ["4", "16"]
    assert rows[0][4].strip() == "150"
    assert rows[0][5].strip() == "1.5"
    assert rows[0][6].strip() == "+1.0", "from step 100 to 150, in points"
    assert rows[0][7].strip().startswith("0.546 (0.5")  # 0.540 and 0.542 for the seeds, + 0.005 for the cases
    assert rows[0][8].strip() == "-"
    assert rows[0][9].strip() == "0.001"
    assert rows[1][12].strip() == "6.66", "distances are averaged too"
    assert "Dice head | Dice tail" in table.read_text()
    assert "ssl3d study bundles/toy_segmentation" in table.read_text()
    study(*arguments, labels=(4, 16), seeds=(0, 1), section="test", jobs=1)
    assert len(runs) == 8, "what is done is not repeated"
    study(*arguments, labels=(4, 16), seeds=(0, 1), section="validation", jobs=1)
    assert ["evaluate" in command[5] for command in runs[8:]] == [True] * 4, "another section needs no training"


def test_pretrained_rows_stand_beside_scratch_with_their_paired_difference(bundle, tmp_path, runs):
    table = study(
        bundle, tmp_path / "data", tmp_path / "out", labels=(4,), seeds=(0, 1), pretrained=("none", "x_pretraining")
    )
    rows = [line.split("|") for line in table.read_text().splitlines() if line.startswith("| ")]
    assert [row[1].strip() for row in rows] == ["start", "scratch", "x_pretraining"]
    assert rows[2][8].strip() == "+0.020 (+0.020 to +0.020)"
    assert "**" not in "".join("".join(row) for row in rows), "no winner in bold"
    with table.with_suffix(".csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    assert len(cases) == 2 * 2 * 2
    assert cases[0] == {
        "start": "scratch", "labels": "4", "seed number": "0", "case": "a.nii", "Dice head": "0.54", "Dice tail": "0.54"
    }  # fmt: skip
    assert table.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_study_of_synthetic_data_is_called_mechanics_only(bundle, tmp_path, runs):
    data = tmp_path / "synthetic"
    data.mkdir()
    (data / "dataset.json").write_text(
        json.dumps({"name": "toy", "synthetic": True, "training": [{"image": "a.nii.gz"}]})
    )
    (data / "a.nii.gz").touch()
    table = study(bundle, data, tmp_path / "out", labels=(4,), seeds=(0,))
    assert table.read_text().startswith("**mechanics only: one seed, 150 steps, synthetic**")
    assert "nan" not in table.read_text(), "one seed has no standard deviation"
    models = [dict(zip(command[6::2], command[7::2], strict=False))["--model_dir"] for command in runs]
    assert all(folder.endswith("seed_0/demo") for folder in models), "where a synthetic run puts its weights"


def test_a_failed_run_names_its_log(bundle, tmp_path, monkeypatch):
    def fail(command, *, stdout, **_):
        stdout.write("Stopped before training: no such data\n")
        return MODULE.subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(MODULE.subprocess, "run", fail)
    with pytest.raises(RuntimeError, match=r"log\.txt: Stopped before training: no such data"):
        study(bundle, tmp_path / "data", tmp_path / "out", labels=(4,), seeds=(0,))


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a bundle"):
        study(tmp_path, tmp_path, tmp_path / "out")
