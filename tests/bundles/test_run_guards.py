"""A run never mixes with another one, never leaves its user with a traceback, and says what comes next."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bundles.conftest import EVALUATE, INFERENCE, TINY, TRAIN, of_kind, workflow

from ssl3d.engines.summary import next_commands

NAME = "hippocampus_mri_segmentation"
only = pytest.mark.parametrize("bundle", [NAME], indirect=True)
SETTINGS = TINY | {"epochs": 1, "epoch_length": 1}


def scans(folder: Path, names: list[str], shape=(20, 34, 18)) -> Path:
    rng = np.random.default_rng(len(names))
    for name in names:
        label = np.zeros(shape, np.uint8)
        label[5:15, 5:17, 5:15], label[5:15, 17:28, 5:15] = 1, 2
        for sub, array in (("imagesTr", rng.normal(size=shape).astype(np.float32)), ("labelsTr", label)):
            (folder / sub).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.eye(4)), folder / sub / f"{name}.nii.gz")
    return folder


def parsed(word: str):
    """A word of the command line as the command line takes it."""
    try:
        return json.loads(word)
    except ValueError:
        return word


def refusal(config=TRAIN, kind="train", **overrides) -> str:
    with pytest.raises(RuntimeError) as caught:
        workflow(config, kind, **overrides).run()
    assert type(caught.value.__cause__).__name__ == "PreflightError"
    return str(caught.value.__cause__)


@only
def test_a_checkpoint_is_resumed_with_its_own_data_and_settings_only(bundle, tmp_path):
    first, other = scans(tmp_path / "first", [f"c{i}" for i in range(8)]), scans(tmp_path / "other", list("abcdefghij"))
    workflow(TRAIN, "train", **SETTINGS, dataset_dir=str(first)).run()
    weights = (bundle / "output" / "model.pt").read_bytes()
    for change, words in (
        ({"seed": 7}, "seed: 0 there, 7 here"),
        ({"learning_rate": 0.1}, "learning_rate: 0.003 there, 0.1 here"),
        ({"epochs": 4}, "epochs: 1 there, 4 here"),
        ({"dataset_dir": str(other)}, "training data: "),
    ):
        message = refusal(**SETTINGS | {"dataset_dir": str(first), "resume": "true"} | change)
        assert "belongs to another run" in message
        assert words in message
        assert "--pretrained" in message
        assert (bundle / "output" / "model.pt").read_bytes() == weights
    moved = first.rename(tmp_path / "moved" / "first") if (tmp_path / "moved").mkdir() is None else None
    workflow(TRAIN, "train", **SETTINGS, dataset_dir=str(moved), resume="true").run()  # data may move


@only
def test_a_second_run_in_the_same_folder_is_refused(bundle, tmp_path):
    script = "from ssl3d.engines import lock; import sys; lock.hold(sys.argv[1]); print('held', flush=True); input()"
    (bundle / "output").mkdir()
    command = [sys.executable, "-c", script, str(bundle / "output")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        message = refusal(**SETTINGS)
        holder.stdin.close()
    assert f"process {holder.pid}" in message
    assert "--output_dir" in message
    workflow(TRAIN, "train", **SETTINGS).run()
    assert not (bundle / "output" / "run.lock").exists()


@only
def test_a_refused_run_leaves_nothing_and_a_new_run_keeps_the_earlier_one(bundle, tmp_path):
    assert "No weights" in refusal(**SETTINGS, pretrained="nowhere", output_dir=str(tmp_path / "new" / "output"))
    assert not (tmp_path / "new").exists()
    run = bundle / "output" / "demo"
    workflow(TRAIN, "train", **SETTINGS).run()
    weights = (run / "model.pt").read_bytes()
    (run / "error.txt").write_text("old")
    refusal(**SETTINGS, pretrained="nowhere")
    assert (run / "model.pt").read_bytes() == weights
    workflow(TRAIN, "train", **SETTINGS, seed=1, pretrained=str(run / "model.pt")).run()
    assert (run / "model.pt").read_bytes() != weights
    kept = run / "previous" / "run_1"
    assert (kept / "model.pt").read_bytes() == weights
    assert {"model.json", "history.csv", "preview.png", "cases.json"} <= {path.name for path in kept.iterdir()}
    assert not (run / "error.txt").exists()
    (run / "error.txt").write_text("old")
    workflow(TRAIN, "train", **SETTINGS, seed=1, pretrained=str(run / "model.pt"), resume="true").run()
    assert not (run / "previous" / "run_2").exists() and not (run / "error.txt").exists()


@only
@pytest.mark.parametrize("publish", [True, False])
def test_a_folder_for_published_weights_is_tried_before_training(bundle, tmp_path, publish):
    (tmp_path / "file").write_text("")
    data = scans(tmp_path / "data", [f"c{i}" for i in range(8)])
    settings = SETTINGS | {"dataset_dir": str(data), "model_dir": str(tmp_path / "file" / "models"), "publish": publish}
    if publish:
        message = refusal(**settings)
        assert "model_dir" in message and "file/models" in message
        assert not (bundle / "output" / "checkpoint.pt").exists()
    else:
        workflow(TRAIN, "train", **settings).run()
        assert (bundle / "output" / "model.pt").is_file()


@of_kind("_segmentation")
def test_results_never_come_to_the_scans(bundle, tmp_path):
    data = scans(tmp_path / "data", ["c0", "c1"]) / "imagesTr"
    message = refusal(INFERENCE, "inference", device="cpu", dataset_dir=str(data), output_dir=str(data))
    assert "holds the scans themselves" in message
    assert sorted(path.name for path in data.iterdir()) == ["c0.nii.gz", "c1.nii.gz"]


@only
def test_the_last_lines_name_scores_picture_weights_and_next_commands(bundle, tmp_path, caplog, monkeypatch):
    data = scans(tmp_path / "data", [f"c{i}" for i in range(8)])
    flags = {**SETTINGS, "dataset_dir": str(data)}
    words = [word for key, value in flags.items() for word in (f"--{key}", str(value))]
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", "--config_file", TRAIN, *words])
    with caplog.at_level("INFO"):
        workflow(TRAIN, "train", **flags).run()
    text = "\n".join(record.message for record in caplog.records[-8:])
    assert re.search(r"val_mean_dice 0\.\d+ on 1 case \(anterior 0\.\d+, posterior 0\.\d+\)", text)
    assert str(bundle / "output" / "preview.png") in text
    evaluate = re.search(r"--config_file \"\['configs/train.json','configs/evaluate.json'\]\".*", text)[0]
    assert f"--dataset_dir {data}" in evaluate and f"--weights {bundle / 'output' / 'model.pt'}" in evaluate
    assert "--epochs" not in evaluate
    assert re.search(r"--config_file configs/inference.json .*--weights .*/output/model.pt", text)


@pytest.mark.parametrize("bundle", ["mae_pretraining", "gvsl_pretraining"], indirect=True)
def test_the_next_commands_of_a_pretraining_run(bundle, monkeypatch):
    """The commands that are shown are run as they are."""
    flags = SETTINGS | {"network_def#student#backbone#channels": [8, 16, 24, 32]}
    words = [word for key, value in flags.items() for word in (f"--{key}", str(value))]
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", "--config_file", TRAIN, *words])
    flow = workflow(TRAIN, "train", **flags)
    flow.run()
    *evaluate, infer, tune = next_commands(flow, bundle / "output" / "demo")
    assert len(evaluate) == (bundle.name == "mae_pretraining"), "GVSL's evaluation asks for labels"
    assert "--network_def#backbone#channels '[8, 16, 24, 32]'" in infer and "--pretrained " in tune
    for line, config, kind in (*((e, EVALUATE, "train") for e in evaluate), (infer, INFERENCE, "inference")):
        given = shlex.split(line.split("--config_file ")[1])[1:]
        given = {key[2:]: parsed(value) for key, value in zip(given[::2], given[1::2], strict=True)}
        given |= {"dataset_dir": None, "device": "cpu"}
        workflow(config, kind, **given).run()


@only
@pytest.mark.parametrize("way", ["interrupt", "not finite"])
def test_a_run_that_ends_early_says_so_in_a_few_lines(bundle, tmp_path, way):
    data = scans(tmp_path / "data", [f"c{i}" for i in range(8)])
    settings = {"epochs": 500, "epoch_length": 2, "val_interval": 500, "roi_size": "[16,32,16]", "device": "cpu"}
    settings |= {"dataset_dir": str(data), "output_dir": str(tmp_path / "out")}
    settings |= {"learning_rate": 1e9, "val_interval": 1} if way == "not finite" else {}
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", TRAIN, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if way == "interrupt":
        for line in process.stdout:
            if "epoch 2/500" in line:  # the first is saved by now
                break
        process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Traceback" not in error
    last = error.strip().splitlines()[-4:]
    if way == "interrupt":
        assert any(line.startswith("Interrupted in epoch ") for line in last)
        assert "--resume true" in last[-1]
    else:
        assert re.search(r"Stopped in epoch \d of 500: the loss is nan at epoch \d, step \d of 2 on c\d", error)
        assert "Traceback" in (tmp_path / "out" / "error.txt").read_text()
        assert "--resume" not in error


@only
def test_settings_of_another_type_make_one_sentence(bundle):
    message = refusal(**SETTINGS | {"epochs": 1.5, "roi_size": 0, "learning_rate": "abc"})
    assert message.count("must be") == 3
    flow = workflow(TRAIN, "train", **SETTINGS | {"output_dir": 20240501, "roi_size": 32})
    flow.run()
    assert json.loads((bundle / "20240501" / "demo" / "model.json").read_text())["roi_size"] == [32, 32, 32]
