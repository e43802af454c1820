"""What the measurement of Alice's cost compares is the same: loss, gradients, centres."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from reference import alice as plain

TOOL = Path(__file__).parents[2] / "tools" / "bench_alice.py"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    return runpy.run_path(str(TOOL))


def test_both_versions_give_the_same_loss_gradients_and_centres(tool):
    case = tool["Case"](5, 9, 16, 6)
    (ours, mine), (other, theirs) = (case.step(name) for name in ("ours", "plain"))
    assert ours == pytest.approx(other, rel=1e-5) and mine.abs().max() > 0.01
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6 * theirs.abs().max().item())
    student, centers = {**case.student, "image": case.image}, (torch.zeros(16), torch.zeros(16))
    weights = dict(case.casa.named_parameters())
    _, moved = plain.losses(student, case.teacher, weights, case.casa.num_heads, 0.008, centers)
    case.forward("ours")
    for center, loss in zip(moved, (case.inter, case.intra), strict=True):
        torch.testing.assert_close(center, loss.center.float())


def test_the_target_has_no_graph(tool):
    """The graph of the plain version holds the target's attention too."""
    case = tool["Case"](8, 64, 16, 2)
    assert 2 * case.kept("ours") < case.kept("plain")


def test_the_table(tool, monkeypatch, capsys):
    main = tool["main"]
    monkeypatch.setitem(main.__globals__, "peak_of", lambda name, sizes: 7.0)
    main(["--query", "4", "--context", "6", "--dim", "16", "--crop", "4", "--scan", "32", "--repeats", "1"])
    text = capsys.readouterr().out
    assert "1 pair: 4 tokens read 6, 16 channels; crops of 4³" in text and "| 7 | 7 |" in text
    assert "A point in an embedded scan of 32³:" in text and "load average" in text


STEP = """
import runpy
import torch

class Step:
    def step(self, name):
        torch.ones(64 * 2**18)

print(runpy.run_path({tool!r})["grown"](Step(), "ours"))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_that_of_the_step():
    """A step that takes and gives back 64 MiB; in a process of its own, as another may hold freed memory for it."""
    code = STEP.format(tool=str(TOOL))
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 60 < float(printed) < 80
