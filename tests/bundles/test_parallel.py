"""Two gloo processes take the step that one process takes with the doubled batch, in float64."""

import os
import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = Path(__file__).with_name("first_step.py")


def test_two_processes_equal_one_with_the_doubled_batch(bundle, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for arguments in ([str(SCRIPT), str(tmp_path), "4"], [*launcher, str(SCRIPT), str(tmp_path), "2"]):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=bundle, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    one, two = (torch.load(tmp_path / f"first_{size}.pt", weights_only=True) for size in (4, 2))
    assert one["draws"].tolist() == [0, 1, 2, 3]
    assert two["draws"].tolist() == [0, 2]
    assert one["loss"].dtype == torch.float64
    torch.testing.assert_close(two["loss"], one["loss"], rtol=1e-5, atol=0)
    largest = max(gradient.abs().max() for gradient in one["gradients"].values())
    assert largest > 0
    for name, gradient in one["gradients"].items():
        assert (two["gradients"][name] - gradient).abs().max() <= 1e-5 * largest, name
    checkpoint = torch.load(tmp_path / "demo" / "checkpoint.pt", weights_only=True)
    assert checkpoint["epoch"] == 1
