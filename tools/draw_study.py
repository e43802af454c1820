"""Draws the first table of a study that a Markdown file holds: mean Dice, and its difference from scratch.

Rows of one table may come from several calls of ``ssl3d study``, each of which draws its own rows alone.

Example:
    cd bundles/hippocampus_mri_segmentation/docs
    python ../../../tools/draw_study.py README.md labels.png --title "test, 48 cases, 3 seeds"
"""

import argparse
import re
from pathlib import Path

from ssl3d.study.report import DICE, DIFFERENCE, Outcome, draw
from ssl3d.tasks.statistics import Estimate

COLUMNS = ("start", "labels", DICE, DIFFERENCE)


def main() -> None:
    """Read a Markdown file, write a PNG."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="Markdown file; of its tables the first one of a study is drawn")
    parser.add_argument("picture", type=Path, help="PNG to write")
    parser.add_argument("--title", default="", help="above the picture")
    arguments = parser.parse_args()
    draw(read_outcomes(arguments.table), arguments.picture, arguments.title)


def read_outcomes(table: Path) -> list[Outcome]:
    """Rows of the first table of a study in a Markdown file.

    Raises:
        ValueError: there is none.
    """
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.read_text(encoding="utf-8").splitlines()
    ]
    starts = [number for number, cells in enumerate(lines) if set(COLUMNS) <= set(cells)]
    if not starts:
        raise ValueError(f"{table} has no table with the columns {', '.join(COLUMNS)}.")
    header, rows = lines[starts[0]], []
    for cells in lines[starts[0] + 2 :]:
        if len(cells) != len(header):
            break
        start, labels, dice, difference = (cells[header.index(column)] for column in COLUMNS)
        rows.append(Outcome(start, labels, _estimate(dice), _estimate(difference) if difference != "-" else None))
    return rows


def _estimate(cell: str) -> Estimate:
    mean, low, high = (float(number) for number in re.findall(r"[-+]?\d+\.\d+", cell))
    return Estimate(mean, low, high, float("nan"))


if __name__ == "__main__":
    main()
