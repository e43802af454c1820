"""The picture of a table that several studies make up."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = """Text before it.

| start | labels | mean Dice (95 % interval) | difference from scratch | SD of seeds |
|---|---|---|---|---|
| scratch | 4 | 0.820 (0.807 to 0.830) | - | 0.011 |
| alice | 4 | 0.824 (0.811 to 0.833) | +0.004 (-0.001 to +0.006) | - |

| start | labels | mean Dice (95 % interval) | difference from scratch | SD of seeds |
|---|---|---|---|---|
| scratch | 2 | 0.1 (0.1 to 0.1) | - | 0.011 |
"""


def run(*arguments):
    command = [sys.executable, str(ROOT / "tools" / "draw_study.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_first_table_is_read(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from draw_study import read_outcomes

    (tmp_path / "table.md").write_text(TABLE)
    scratch, alice = read_outcomes(tmp_path / "table.md")
    assert (scratch.start, scratch.labels, scratch.difference) == ("scratch", "4", None)
    assert scratch.dice[:3] == (0.820, 0.807, 0.830)
    assert alice.difference[:3] == (0.004, -0.001, 0.006)


def test_a_picture_is_written_or_the_table_missed(tmp_path):
    (tmp_path / "table.md").write_text(TABLE)
    (tmp_path / "none.md").write_text("no table")
    assert run(tmp_path / "table.md", tmp_path / "a.png", "--title", "toy").returncode == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    failed = run(tmp_path / "none.md", tmp_path / "b.png")
    assert failed.returncode != 0 and "none.md has no table" in failed.stderr
    assert not (tmp_path / "b.png").exists()
