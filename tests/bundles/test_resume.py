"""A training that is killed and resumed ends in the weights of one that never stopped."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch

SETTINGS = {
    "device": "cpu",
    "cases#synthesis#subjects": 4,
    "epochs": 3,
    "epoch_length": 12,
    "val_interval": 2,
    "roi_size": "[16,32,16]",
}


def start(bundle: Path, output: Path, *more: str) -> subprocess.Popen:
    arguments = [word for key, value in SETTINGS.items() for word in (f"--{key}", str(value))]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/train.json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *arguments, "--output_dir", str(output), *more],
        cwd=bundle,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def epoch_ends(process: subprocess.Popen, epoch: int) -> None:
    for line in process.stdout:
        if f"epoch {epoch}/3" in line:
            return
    raise AssertionError(f"epoch {epoch} never ended")


def test_killed_in_epoch_two_and_resumed_is_bit_equal(bundle, tmp_path):
    whole = start(bundle, tmp_path / "whole")
    log, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, log

    killed = start(bundle, tmp_path / "killed")
    epoch_ends(killed, 1)
    time.sleep(0.2)  # some steps into epoch 2
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    history = tmp_path / "killed" / "demo" / "history.csv"
    assert len(history.read_text().splitlines()) == 2, "killed after epoch 1 and before the end of epoch 2"

    resumed = start(bundle, tmp_path / "killed", "--resume", "true")
    log, _ = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, log
    assert "after epoch 1 of 3" in log

    ends = [torch.load(tmp_path / run / "demo" / "checkpoint.pt", weights_only=True) for run in ("whole", "killed")]
    assert ends[0]["epoch"] == ends[1]["epoch"] == 3
    assert ends[0]["best_metric"] == ends[1]["best_metric"]
    for part in ("network", "best"):
        assert ends[0][part].keys() == ends[1][part].keys()
        assert all(torch.equal(ends[0][part][key], ends[1][part][key]) for key in ends[0][part]), part
    columns = [
        [row.split(",")[:2] + row.split(",")[3:] for row in (tmp_path / run / "demo" / "history.csv").open()]
        for run in ("whole", "killed")
    ]
    assert columns[0] == columns[1], "all but the seconds"
