"""The study's bookkeeping, with a program in the place of the bundle runs that writes what they write."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ssl3d.study.processes import Processes
from ssl3d.study.progress import StudyProgress
from ssl3d.study.run import claim, study
from ssl3d.study.runs import check_labels


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


def write_cases(folder: Path, count: int, **more) -> Path:
    """Files without content: a study lists them, and its runs are replaced here."""
    for place in ("imagesTr", "labelsTr"):
        (folder / place).mkdir(parents=True)
        for number in range(count):
            (folder / place / f"p{number:02d}.nii.gz").touch()
    if more:
        (folder / "dataset.json").write_text(json.dumps(more))
    return folder


@pytest.fixture
def data(tmp_path) -> Path:
    return write_cases(tmp_path / "data", 40)  # 25 for training, 5 for validation, 10 for test


def options_of(command: list[str]) -> dict[str, str]:
    return dict(zip(command[6::2], command[7::2], strict=False))


@pytest.fixture
def runs(monkeypatch):
    """Records the commands and writes results for the cases of a split file, else for five cases.

    Dice = 0.5 + labels / 100 + seed * 0.002 + 0.01 for each case but the last.
    """
    commands: list[list[str]] = []

    def run(_, command, **options):
        commands.append(command)
        option = options_of(command)
        folder = Path(option["--output_dir"])
        if "evaluate" in command[5]:
            (folder / option["--section"]).mkdir()
            count = option["--num_labelled"]
            base = 0.5 + (0 if count == "all" else int(count)) / 100 + int(option["--seed"]) * 0.002
            base += 0.02 * ("x_pretraining" in option["--output_dir"])
            held = json.loads(Path(option["--split"]).read_text())["test"] if "--split" in option else "bcdea"
            section = option["--section"]
            (folder / section / "classes.csv").touch()
            for metric, scale in (("mean_dice", 1), ("hausdorff95", 10)):
                with (folder / section / f"{section}_{metric}_raw.csv").open("w", newline="") as file:
                    values = [base + 0.01 * (case != held[-1]) for case in held]
                    rows = [[f"{c}.nii", *[v * scale] * 3] for c, v in zip(held, values, strict=True)]
                    csv.writer(file).writerows([["filename", "class0", "class1", "mean"], *rows])
        else:
            run_dir = folder / "demo" if "synthetic" in option["--dataset_dir"] else folder
            run_dir.mkdir(exist_ok=True)
            (run_dir / "model.pt").write_text("")
            history = "epoch,steps,seconds,val_mean_dice\n1,50,30,0.5\n2,100,30,0.6\n3,150,30,0.61\n"
            (run_dir / "history.csv").write_text(history)
            used = 25 if option["--num_labelled"] == "all" else int(option["--num_labelled"])
            (run_dir / "cases.json").write_text(json.dumps({"training": [f"p{number:02d}" for number in range(used)]}))
        return 0

    monkeypatch.setattr(Processes, "run", run)
    return commands


def test_every_combination_is_trained_then_evaluated_once(bundle, data, tmp_path, runs):
    arguments = (bundle, data, tmp_path / "out")
    table = study(*arguments, labels=(4, 16), seeds=(0, 1), section="test", jobs=1)
    assert len(runs) == 8
    assert [("evaluate" in command[5]) for command in runs] == [False, True] * 4
    assert all("--resume" in command for command in runs[::2])
    rows = [line.split("|") for line in table.read_text().splitlines() if line.startswith("| scratch")]
    assert [row[2].strip() for row in rows] == ["4", "16"]
    assert rows[0][4].strip() == "150"
    assert rows[0][5].strip() == "1.5"
    assert rows[0][6].strip() == "+1.0", "from step 100 to 150, in points"
    assert rows[0][7].strip().startswith("0.549 (0.5")  # 0.540 and 0.542 for the seeds, + 0.008 for the cases
    assert rows[0][8].strip() == "-"
    assert rows[0][9].strip() == "0.001"
    assert rows[1][12].strip() == "6.69", "distances are averaged too"
    assert "Dice head | Dice tail" in table.read_text()
    assert f"ssl3d study {bundle} {data} {tmp_path / 'out'} --section test" in table.read_text()
    study(*arguments, labels=(4, 16), seeds=(0, 1), section="test", jobs=1)
    assert len(runs) == 8, "what is done is not repeated"
    study(*arguments, labels=(4, 16), seeds=(0, 1), section="validation", jobs=1)
    assert ["evaluate" in command[5] for command in runs[8:]] == [True] * 4, "another section needs no training"


def test_pretrained_rows_stand_beside_scratch_with_their_paired_difference(bundle, data, tmp_path, runs):
    (tmp_path / "x_pretraining" / "models").mkdir(parents=True)
    (tmp_path / "x_pretraining" / "models" / "model.pt").touch()
    table = study(bundle, data, tmp_path / "out", labels=(4,), seeds=(0, 1), pretrained=("none", "x_pretraining"))
    rows = [line.split("|") for line in table.read_text().splitlines() if line.startswith("| ")]
    assert [row[1].strip() for row in rows] == ["start", "scratch", "x_pretraining"]
    assert rows[2][8].strip() == "+0.020 (+0.020 to +0.020)"
    assert "**" not in "".join("".join(row) for row in rows), "no winner in bold"
    with table.with_suffix(".csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    assert len(cases) == 2 * 2 * 5
    assert cases[0] == {
        "start": "scratch", "labels": "4", "seed number": "0", "case": "a.nii", "Dice head": "0.54", "Dice tail": "0.54"
    }  # fmt: skip
    assert table.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_a_study_of_synthetic_data_is_called_mechanics_only(bundle, tmp_path, runs):
    entries = [{"image": f"imagesTr/p{n:02d}.nii.gz", "label": f"labelsTr/p{n:02d}.nii.gz"} for n in range(12)]
    folder = write_cases(tmp_path / "synthetic", 12, name="toy", synthetic=True, training=entries)
    table = study(bundle, folder, tmp_path / "out", labels=(4,), seeds=(0,))
    assert table.read_text().startswith("**mechanics only: one seed, 150 steps, synthetic**")
    assert "nan" not in table.read_text(), "one seed has no standard deviation"
    assert options_of(runs[1])["--weights"].endswith("seed_0/demo/model.pt"), "where a synthetic run writes its weights"


def test_a_failed_run_names_its_log(bundle, data, tmp_path, monkeypatch):
    def fail(_, command, *, stdout, **options):
        stdout.write("Stopped before training: no such data\n")
        return 1

    monkeypatch.setattr(Processes, "run", fail)
    with pytest.raises(RuntimeError, match=r"log\.txt: Stopped before training: no such data"):
        study(bundle, data, tmp_path / "out", labels=(4,), seeds=(0,))


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a bundle"):
        study(tmp_path, tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {},
            r"--labels 4,16: there are 3 for training, 1 for validation, 1 for test.*--labels 1,all\. For.*--folds 5",
        ),
        ({"labels": ("some",)}, "labels must be whole numbers or all"),
        ({"labels": (0,)}, "--labels 0"),
        ({"labels": ("all",), "section": "tests"}, "section must be one of"),
        ({"labels": ("all",), "folds": 6}, "divided into 2 to 5 folds, not into 6"),
        ({"labels": (4,), "folds": 3}, "--labels 4: 3 folds of 5 cases, so that 1 to 3"),
        ({"labels": ("all",), "pretrained": ("nowhere",)}, "No weights for 'nowhere'"),
        ({"labels": ("all",), "jobs": 0}, "jobs must be at least 1"),
        ({"labels": ("all",), "settings": {"seed": "1"}}, "--seed is set by the study. Use --seeds"),
        ({"labels": ("all",), "settings": {"learning_rat": "1"}}, "no key of toy_segmentation.*--learning_rate"),
        ({"labels": ("all",), "settings": {"label": "1"}}, r"no flag of `ssl3d study`.*Did you mean --labels"),
        ({"labels": ("all",), "settings": {"pretraned": "1"}}, r"Did you mean --pretrained\?"),
        ({"labels": ("all",), "settings": {"optimiser#lr": "1"}}, r"Did you mean --optimizer#lr\?"),
        ({"labels": ("all",), "settings": {"split": "none"}}, "There are no cases for validation"),
        ({"labels": ("all",), "folds": 3, "settings": {"split": "none"}}, "leave --split out"),
    ],
)
def test_what_cannot_work_is_refused_before_any_training(bundle, tmp_path, runs, options, message):
    config = {"learning_rate": 0.1, "split": "positional", "pretrained": "none", "optimizer": {}}
    (bundle / "configs" / "train.json").write_text(json.dumps(config))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        study(bundle, write_cases(tmp_path / "few", 5), tmp_path / "out", **options)
    assert not runs


def test_few_cases_give_a_table_without_intervals(bundle, tmp_path, runs):
    table = study(bundle, write_cases(tmp_path / "few", 6), tmp_path / "out", labels=("all",), seeds=(0, 1), folds=3)
    text = table.read_text()
    assert table.name == "cross_validation.md"
    assert text.startswith("**cross-validation, 3 folds, 6 cases, 2 seeds**")
    assert "| scratch | all (25) | 2 |" in text
    assert "0.506 (0." in text, "six cases, of which the last of each fold scores less: an interval"
    assert "--folds 3 --labels all" in text
    folds = [json.loads(Path(file).read_text()) for file in {options_of(command)["--split"] for command in runs}]
    assert sorted(case for fold in folds for case in fold["test"]) == [f"p{n:02d}" for n in range(6)]
    assert all(sorted(fold["training"] + fold["test"]) == [f"p{n:02d}" for n in range(6)] for fold in folds)
    with table.with_suffix(".csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * 6
    one = write_cases(tmp_path / "one", 4)
    text = study(bundle, one, tmp_path / "loo", labels=("all",), seeds=(0,), folds=4).read_text()
    assert "No intervals: 4 cases are too few" in text
    assert "(0" not in text.splitlines()[4], "a mean without interval"


def test_settings_are_passed_to_trainings_and_evaluations(bundle, data, tmp_path, runs):
    (bundle / "configs" / "train.json").write_text(json.dumps({"epochs": 3, "network_def": {"out_channels": 2}}))
    settings = {"epochs": "4", "network_def#out_channels": "5"}
    table = study(bundle, data, tmp_path / "out", labels=(4,), seeds=(0,), settings=settings)
    for command in runs:
        assert options_of(command) | {f"--{key}": value for key, value in settings.items()} == options_of(command)
    assert "--epochs 4 --network_def#out_channels 5" in table.read_text()


def test_classes_without_names_are_numbered(bundle, data, tmp_path, runs):
    metadata = {"network_data_format": {"outputs": {"pred": {"channel_def": {"0": "background", "1": "only"}}}}}
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    assert "Dice class 1 | Dice class 2" in study(bundle, data, tmp_path / "out", labels=(4,), seeds=(0,)).read_text()


def test_a_folder_with_the_results_of_another_study_is_refused(tmp_path):
    facts = {"bundle": "b", "dataset_dir": "/data/one", "epochs": "2"}
    claim(tmp_path / "study", facts)
    claim(tmp_path / "study", facts)  # the same study goes on
    with pytest.raises(ValueError, match="results of another study") as refusal:
        claim(tmp_path / "study", facts | {"dataset_dir": "/data/two", "label_names": "head,body"})
    assert "dataset_dir: /data/one there, /data/two here" in str(refusal.value)
    assert "label_names: absent there, head,body here" in str(refusal.value)
    claim(tmp_path / "study", facts)


def test_labels_that_are_too_many_come_with_numbers_that_fit():
    with pytest.raises(ValueError, match=r"--labels 16: .* Choose such numbers, or all: --labels 4,all\.$"):
        check_labels(["4", "16", "all"], 10, "there are 10 for training")
    with pytest.raises(ValueError, match=r"--labels 5,all\.$"):
        check_labels(["16", "all"], 10, "there are 10 for training")


def test_an_interrupted_study_ends_its_runs_and_says_how_it_continues(bundle, data, tmp_path):
    """The place of the bundle is taken by a program that never ends."""
    (tmp_path / "monai" / "bundle").mkdir(parents=True)
    (tmp_path / "monai" / "__init__.py").touch()
    wait = f"import pathlib, time; pathlib.Path({str(tmp_path / 'begun')!r}).touch(); time.sleep(60)"
    (tmp_path / "monai" / "bundle" / "__main__.py").write_text(wait)
    script = f"""
import os, sys
from ssl3d import cli
import ssl3d.study.run
os.environ["PYTHONPATH"] = {str(tmp_path)!r} + os.pathsep + os.environ.get("PYTHONPATH", "")
cli.main()
"""
    words = ["study", str(bundle), str(data), str(tmp_path / "out"), "--labels", "4", "--seeds", "0,1", "--jobs", "1"]
    with subprocess.Popen([sys.executable, "-c", script, *words], stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not (tmp_path / "begun").exists() and time.monotonic() < until:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        _, text = process.communicate(timeout=30)
    assert process.returncode == 130
    assert text.strip().splitlines()[-1] == (
        f"ssl3d: the study was interrupted. What is finished is kept in {tmp_path / 'out'}: the same command continues."
    )
    assert "Traceback" not in text
    assert not (tmp_path / "out" / "none" / "4_labels" / "seed_1").exists(), "no further run begins"


def test_stopped_processes_end_at_once_and_none_follows(tmp_path):
    processes = Processes()
    results = []
    thread = threading.Thread(target=lambda: results.append(processes.run(["sleep", "60"])))
    thread.start()
    while not processes.running:
        time.sleep(0.01)
    processes.stop()
    thread.join(20)
    assert results == [-signal.SIGTERM]
    with pytest.raises(RuntimeError, match="stopped"):
        processes.run(["true"])


def test_the_time_that_is_left_includes_evaluations(tmp_path):
    with StudyProgress([tmp_path / "a", tmp_path / "b"], epochs=10, evaluations=2, jobs=1) as shown:
        assert shown.left(30.0, 0) is None, "nothing tells yet"
        assert shown.left(30.0, 3) == 10 * 17 + 10 * 2, "an evaluation counts as an epoch until one was measured"
        shown.evaluated.append(50.0)
        assert shown.left(150.0, 10) == 10 * 10 + 50
        assert shown.left(250.0, 20) == 50


def test_missed_structures_are_counted_beside_the_mean_distance_of_the_others(bundle, data, tmp_path, runs):
    arguments = (bundle, data, tmp_path / "out")
    study(*arguments, labels=(4,), seeds=(0,))
    file = tmp_path / "out" / "none" / "4_labels" / "seed_0" / "validation" / "validation_hausdorff95_raw.csv"
    rows = list(csv.reader(file.open()))
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([*rows[:2], [rows[2][0], "inf", "inf", "inf"], *rows[3:]])
    text = study(*arguments, labels=(4,), seeds=(0,)).read_text()
    assert "(2 of 10 missed) |" in text
