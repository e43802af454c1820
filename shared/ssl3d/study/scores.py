"""Read the scores of a study's runs, and average them."""

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..engines import cases, progress
from ..files.texts import read_json
from ..tasks.statistics import Estimate, estimate
from .runs import METRIC, Run

FEW = 5  # with fewer cases an interval over cases is meaningless


class Arm(NamedTuple):
    """Scores of the runs of all seeds with the same start and number of labels.

    Attributes:
        labels: Number of labelled cases, as in ``4`` or ``all (25)``.
        dice: (seeds, cases, classes).
        distance: The same, 95th percentile of the surface distance in voxels; infinite where a class was missed.
        cases: Names of the cases, (cases,).
        history: Rows of each seed's ``history.csv``.
    """

    start: str
    labels: str
    dice: np.ndarray
    distance: np.ndarray
    cases: list[str]
    history: list[list[dict[str, str]]]

    @property
    def last_third(self) -> float:
        """Gain of the validation Dice over the last third of the steps, in points, averaged over the seeds.

        The gain is measured from the last validation in the first two thirds to the last one; nan without these two.
        """
        gains = []
        for rows in self.history:
            validated = [(int(row["steps"]), float(row[METRIC])) for row in rows if row.get(METRIC)]
            split = [3 * steps <= 2 * int(rows[-1]["steps"]) for steps, _ in validated].count(True)
            gains.append(validated[-1][1] - validated[split - 1][1] if 0 < split < len(validated) else np.nan)
        return 100 * float(np.mean(gains))


def read_arm(runs: Sequence[Run], root: Path, section: str) -> Arm:
    """Read the scores of all seeds with the same start and number of labels; join folds."""
    dice, distance = [], []
    for _, folds in itertools.groupby(sorted(runs, key=lambda run: run.seed), key=lambda run: run.seed):
        places = [run.folder(root) / section for run in folds]
        dice.append(_joined([_scores(place / f"{section}_mean_dice_raw.csv") for place in places]))
        distance.append(_joined([_scores(place / f"{section}_hausdorff95_raw.csv") for place in places]))
    history = [list(csv.DictReader(history_of(run.folder(root)).open())) for run in runs]
    return Arm(
        runs[0].start,
        _number_of_labels(runs, root),
        np.stack([scores for _, scores in dice]),
        np.stack([scores for _, scores in distance]),
        dice[0][0],
        history,
    )


def _number_of_labels(runs: Sequence[Run], root: Path) -> str:
    """Return the number of labelled cases; for ``all`` the number trained on, which may differ between folds."""
    files = [_written(run.folder(root), cases.FILE) for run in runs]
    if runs[0].labels != "all" or not all(file.is_file() for file in files):
        return runs[0].labels
    found = sorted({len(read_json(file)["training"]) for file in files})
    return f"all ({' to '.join(map(str, dict.fromkeys((found[0], found[-1]))))})"


def history_of(folder: Path) -> Path:
    """Return the path of a run's history.csv."""
    return _written(folder, progress.FILE)


def _written(folder: Path, name: str) -> Path:
    """Return the path of an output file of a run; runs on synthetic data write into ``demo``."""
    file = folder / name
    return file if file.is_file() else folder / "demo" / name


def _joined(parts: Sequence[tuple[list[str], np.ndarray]]) -> tuple[list[str], np.ndarray]:
    """Join names and scores of all folds, cases sorted by name."""
    names = [name for found, _ in parts for name in found]
    order = sorted(range(len(names)), key=names.__getitem__)
    return [names[number] for number in order], np.concatenate([scores for _, scores in parts])[order]


def _scores(file: Path) -> tuple[list[str], np.ndarray]:
    """Read names (cases,) and scores (cases, classes) of one run, cases sorted by name."""
    with file.open(newline="") as stream:
        _, *rows = csv.reader(stream)  # below the header: case, classes, mean over classes
    rows.sort()
    return [row[0] for row in rows], np.array([[float(value) for value in row[1:-1]] for row in rows])


def mean_of(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis, ignoring nan and inf; nan if no number is left."""
    known = np.isfinite(values)
    count = known.sum(axis=-1)
    return np.where(count, np.where(known, values, 0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def summarise(scores: np.ndarray) -> Estimate:
    """Estimate the mean of scores (seeds, cases) over the scored cases; without interval below ``FEW`` cases."""
    scores = scores[:, np.isfinite(scores).any(axis=0)]
    if scores.shape[1] >= FEW:
        return estimate(scores)
    if not scores.size:
        return Estimate(*[float("nan")] * 4)
    cases, seeds = mean_of(scores.T), mean_of(scores)
    spread = float(seeds.std(ddof=1)) if len(seeds) > 1 else float("nan")
    return Estimate(float(cases.mean()), float("nan"), float("nan"), spread)
