"""The report of a study: one table, the score of each case, one picture."""

import csv
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import weights
from ..data.content import replacing
from ..data.sources import read_source
from ..engines import progress
from .drawing import save
from .palette import curve_colour
from .statistics import Estimate, estimate

METRIC = "val_mean_dice"
DICE, DIFFERENCE = "mean Dice (95 % interval)", "difference from scratch"  # columns of the table


class Run(NamedTuple):
    """One training of a study.

    Attributes:
        pretrained: starting weights, as the bundle's key of that name; ``none`` is training from scratch.
        labels: number of labelled training cases, or ``all``.
        seed: of the labelled set, the initial weights and the draws.
    """

    pretrained: str
    labels: str
    seed: int

    def folder(self, root: Path) -> Path:
        """Where the run lives below the study's folder."""
        start = self.pretrained.strip("./").replace("/", "_")
        return root / start / f"{self.labels}_labels" / f"seed_{self.seed}"

    @property
    def start(self) -> str:
        """What its rows are called: ``scratch``, a bundle's name, or the method in the passport of the weights."""
        if self.pretrained.lower() == "none":
            return "scratch"
        passport = weights.passport_of(self.pretrained) if Path(self.pretrained).is_file() else None
        return passport.method if passport else Path(self.pretrained).name


class Arm(NamedTuple):
    """The runs of all seeds from one start with one number of labels.

    Attributes:
        dice: (seeds, cases, classes).
        distance: the same, 95th percentile of the surface distance in voxels.
        cases: their names, (cases,).
        history: rows of each seed's ``history.csv``.
    """

    start: str
    labels: str
    dice: np.ndarray
    distance: np.ndarray
    cases: list[str]
    history: list[list[dict[str, str]]]

    @property
    def last_third(self) -> float:
        """What the validation Dice gained over the last third of the steps, in points, mean over the seeds.

        From the last validation in the first two thirds to the last one; nan where there are not both.
        """
        gains = []
        for rows in self.history:
            validated = [(int(row["steps"]), float(row[METRIC])) for row in rows if row.get(METRIC)]
            split = [3 * steps <= 2 * int(rows[-1]["steps"]) for steps, _ in validated].count(True)
            gains.append(validated[-1][1] - validated[split - 1][1] if 0 < split < len(validated) else np.nan)
        return 100 * float(np.mean(gains))


class Outcome(NamedTuple):
    """A row of the table, as the picture shows it.

    Attributes:
        start, labels: of the runs.
        dice: mean Dice and its interval.
        difference: the same of the difference from scratch; None where there is none.
    """

    start: str
    labels: str
    dice: Estimate
    difference: Estimate | None


def write_report(
    runs: Sequence[Run], root: Path, section: str, bundle: Path, dataset_dir: Path, overrides: Sequence[str] = ()
) -> Path:
    """Write ``<section>.md``, ``.csv`` and ``.png`` of finished runs into the study's folder.

    Args:
        runs: ordered by start and labels.
        root: the study's folder.
        section: that was evaluated.
        bundle: folder of the bundle, whose metadata name the classes.
        dataset_dir: the data.
        overrides: of the trainings, for the command at the end.

    Returns:
        Path of the table.
    """
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    classes = list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values())[1:]
    synthetic = dataset_dir.is_dir() and read_source(dataset_dir).synthetic
    arms = [_arm(list(group), root, section) for _, group in itertools.groupby(runs, key=lambda run: run[:2])]
    seeds = len(arms[0].dice)
    title = f"{section}, {len(arms[0].cases)} cases, {seeds} seed{'s' * (seeds > 1)}"
    if synthetic:
        title = f"mechanics only: {'one seed' if seeds == 1 else f'{seeds} seeds'}, {_steps(arms[0])} steps, synthetic"
    note = (
        "Interval: 95 %, over cases, of each case's mean over the seeds (BCa bootstrap); difference: the same, of each "
        "case's difference from scratch. Last third: what the validation Dice gained over the last third of the steps, "
        "in points. SD of seeds: labelled set, initial weights and draws together."
    )
    command = _command(runs, root, section, bundle, dataset_dir, overrides)
    table, results = root / f"{section}.md", outcomes(arms)
    rows = _rows(arms, results, classes)
    table.write_text("\n".join([f"**{title}**", "", *rows, "", note, "", "```", command, "```", ""]))
    _write_cases(arms, classes, table.with_suffix(".csv"))
    draw(results, table.with_suffix(".png"), title)
    return table


def _arm(runs: list[Run], root: Path, section: str) -> Arm:
    folders = [run.folder(root) for run in runs]
    dice, distance = (
        [_scores(folder / section / f"{metric}_raw.csv") for folder in folders]
        for metric in (METRIC, "val_hausdorff95")
    )
    history = [list(csv.DictReader((_history(folder)).open())) for folder in folders]
    return Arm(
        runs[0].start,
        runs[0].labels,
        np.stack([scores for _, scores in dice]),
        np.stack([scores for _, scores in distance]),
        dice[0][0],
        history,
    )


def _history(folder: Path) -> Path:
    file = folder / progress.FILE
    return file if file.is_file() else folder / "demo" / progress.FILE  # of a run on synthetic data


def _scores(file: Path) -> tuple[list[str], np.ndarray]:
    """Names (cases,) and scores (cases, classes) of one run, cases sorted by name."""
    with file.open(newline="") as stream:
        _, *rows = csv.reader(stream)  # below the header: case, classes, mean over classes
    rows.sort()
    return [row[0] for row in rows], np.array([[float(value) for value in row[1:-1]] for row in rows])


def _steps(arm: Arm) -> int:
    return int(arm.history[0][-1]["steps"])


def _rows(arms: list[Arm], results: list[Outcome], classes: list[str]) -> Iterator[str]:
    columns = ["start", "labels", "seeds", "steps", "minutes a run", "last third", DICE]
    columns += [DIFFERENCE, "SD of seeds", *(f"Dice {name}" for name in classes), "HD95 in voxels"]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for arm, outcome in zip(arms, results, strict=True):
        minutes = [sum(float(row["seconds"]) for row in rows) / 60 for rows in arm.history]
        distance = np.where(np.isfinite(arm.distance), arm.distance, np.nan)
        values = [arm.start, arm.labels, len(arm.dice), _steps(arm), f"{np.mean(minutes):.1f}"]
        values += [_number(arm.last_third, "+.1f"), _interval(outcome.dice)]
        values += [_interval(outcome.difference, "+") if outcome.difference else "-"]
        values += [_number(outcome.dice.seed_sd, ".3f")]
        values += [f"{estimate(arm.dice[:, :, c]).mean:.3f}" for c in range(len(classes))]
        values += [f"{estimate(np.nanmean(distance, axis=2)).mean:.2f}"]
        yield f"| {' | '.join(map(str, values))} |"


def _number(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "-"


def _interval(value: Estimate, sign: str = "") -> str:
    return f"{value.mean:{sign}.3f} ({value.low:{sign}.3f} to {value.high:{sign}.3f})"


def _means(arm: Arm) -> np.ndarray:
    """(seeds, cases), mean over the classes."""
    return np.nanmean(arm.dice, axis=2)


def _difference(arm: Arm, scratch: Arm | None) -> Estimate | None:
    if scratch is None or scratch is arm or scratch.dice.shape != arm.dice.shape:
        return None
    return estimate(_means(arm) - _means(scratch))


def _write_cases(arms: list[Arm], classes: list[str], path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["start", "labels", "seed number", "case", *(f"Dice {name}" for name in classes)])
        for arm in arms:
            for seed, case in np.ndindex(*arm.dice.shape[:2]):
                writer.writerow([arm.start, arm.labels, seed, arm.cases[case], *arm.dice[seed, case].round(4)])


def outcomes(arms: Sequence[Arm]) -> list[Outcome]:
    """What the arms of a study came to."""
    scratch = {arm.labels: arm for arm in arms if arm.start == "scratch"}
    return [
        Outcome(arm.start, arm.labels, estimate(_means(arm)), _difference(arm, scratch.get(arm.labels))) for arm in arms
    ]


def draw(rows: Sequence[Outcome], path: Path, title: str) -> None:
    """Draw mean Dice and its difference from scratch against the number of labels, with intervals, as a PNG.

    Each start has one colour. Without a row that has a difference, the second panel is left out. The file is replaced
    at once.
    """
    from matplotlib.figure import Figure

    labels, starts = (list(dict.fromkeys(row[i] for row in rows)) for i in (1, 0))
    shown: list[tuple[str, list[tuple[Outcome, Estimate]], float]] = [
        ("mean Dice", [(row, row.dice) for row in rows], 1)
    ]
    if any(row.difference for row in rows):
        differences = [(row, row.difference) for row in rows if row.difference]
        shown.append(("difference from scratch, points", differences, 100))
    figure = Figure(figsize=(6.5 * len(shown), 4.5), layout="constrained")
    for axes, (name, points, scale) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for number, start in enumerate(starts):
            mine = [(row, value) for row, value in points if row.start == start]
            x = [labels.index(row.labels) + 0.1 * (number - (len(starts) - 1) / 2) for row, _ in mine]
            y = [scale * value.mean for _, value in mine]
            below = [scale * (value.mean - value.low) for _, value in mine]
            above = [scale * (value.high - value.mean) for _, value in mine]
            axes.errorbar(x, y, [below, above], fmt="o", capsize=3, color=curve_colour(number), label=start)
        if scale != 1:
            axes.axhline(0, color=curve_colour(0), linewidth=1)
        axes.set_xticks(range(len(labels)), labels)
        axes.set(xlabel="labelled training cases", ylabel=f"{name} (95 % interval)")
        axes.set_xlim(-0.5, len(labels) - 0.5)
        axes.grid(axis="y", alpha=0.3)
    figure.axes[0].legend(loc="best")
    figure.suptitle(title)
    save(figure, path)


def _command(
    runs: Sequence[Run], root: Path, section: str, bundle: Path, dataset_dir: Path, overrides: Sequence[str]
) -> str:
    command = ["ssl3d", "study", f"bundles/{bundle.name}", _public(dataset_dir), root.name, "--section", section]
    for name, values in (("labels", 1), ("seeds", 2), ("pretrained", 0)):
        command += [f"--{name}", ",".join(dict.fromkeys(str(run[values]) for run in runs))]
    return " ".join([*command, *overrides])


def _public(dataset_dir: Path) -> str:
    """A data folder as others can write it: below ``$SSL3D_DATA`` where that holds it."""
    data = os.environ.get("SSL3D_DATA")
    if data and dataset_dir.is_relative_to(Path(data).resolve()):
        return f"$SSL3D_DATA/{dataset_dir.relative_to(Path(data).resolve())}"
    return str(dataset_dir)
