"""Write the report of a study: one table, the score of each case, one picture."""

import csv
import itertools
import json
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import weights
from ..data.sources import read_source
from ..files.atomic import replacing
from ..tasks.drawing import save
from ..tasks.palette import curve_colour
from ..tasks.statistics import Estimate
from .runs import Run
from .scores import FEW, Arm, mean_of, read_arm, summarise

DICE, DIFFERENCE = "mean Dice (95 % interval)", "difference from scratch"  # columns of the table


class Outcome(NamedTuple):
    """Row of the table, in the form for the picture.

    Attributes:
        start, labels: Starting weights and number of labels of the runs.
        dice: Mean Dice and its interval.
        difference: Estimate of the difference from training from scratch; None without such runs.
    """

    start: str
    labels: str
    dice: Estimate
    difference: Estimate | None


def write_report(
    runs: Sequence[Run],
    root: Path,
    section: str,
    bundle: Path,
    dataset_dir: Path,
    overrides: Sequence[str] = (),
    folds: int | None = None,
) -> Path:
    """Write ``<section>.md``, ``.csv`` and ``.png`` of finished runs into the study's folder.

    With fewer than five cases the table has means without intervals. The files of a cross-validation are called
    ``cross_validation``.

    Args:
        runs: Runs, ordered by start and labels.
        root: Folder of the study.
        section: Section that was evaluated.
        bundle: Folder of the bundle, whose metadata name the classes unless the weights' passports do.
        dataset_dir: Folder of the data.
        overrides: Settings of the trainings, for the command at the end.
        folds: Number of folds of a cross-validation; None without one.

    Returns:
        Path of the table.
    """
    groups = [list(group) for _, group in itertools.groupby(runs, key=lambda run: run[:2])]
    arms = [read_arm(group, root, section) for group in groups]
    classes = _class_names(runs[0].folder(root), bundle, arms[0].dice.shape[2])
    seeds, cases = len(arms[0].dice), len(arms[0].cases)
    what = section if folds is None else f"cross-validation, {folds} folds"
    title = f"{what}, {cases} cases, {seeds} seed{'s' * (seeds > 1)}"
    if dataset_dir.is_dir() and read_source(dataset_dir).synthetic:
        title = f"mechanics only: {'one seed' if seeds == 1 else f'{seeds} seeds'}, {_steps(arms[0])} steps, synthetic"
    note = (
        "Interval: 95 %, over cases, of each case's mean over the seeds (BCa bootstrap); difference: the same, of each "
        "case's difference from scratch. Last third: what the validation Dice gained over the last third of the steps, "
        "in points. SD of seeds: labelled set, initial weights and draws together. HD95: mean over the structures that "
        "were found."
    )
    if cases < FEW:
        note += f" No intervals: {cases} case{'s' * (cases > 1)} are too few. They show no difference between starts."
    if folds is not None:
        note += " Each case is scored once per seed, by the fold that was not trained on it; the last weights count."
    command = _command(runs, root, section, bundle, dataset_dir, overrides, folds)
    table = root / f"{section if folds is None else 'cross_validation'}.md"
    results = outcomes(arms)
    rows = _rows(arms, results, classes)
    table.write_text("\n".join([f"**{title}**", "", *rows, "", note, "", "```", command, "```", ""]))
    _write_cases(arms, classes, table.with_suffix(".csv"))
    draw(results, table.with_suffix(".png"), title)
    return table


def _class_names(folder: Path, bundle: Path, count: int) -> list[str]:
    """Return the names of the scored classes, from the weights' passport, else the bundle's metadata, else numbers."""
    files = [
        file for file in (folder / "model.pt", folder / "demo" / "model.pt") if file.with_suffix(".json").is_file()
    ]
    passport = weights.passport_of(files[0]) if files else None
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    found = [list(getattr(passport, "label_names", [])), list(channels.values())[1:]]
    return next((names for names in found if len(names) == count), [f"class {n}" for n in range(1, count + 1)])


def _steps(arm: Arm) -> int:
    return int(arm.history[0][-1]["steps"])


def _rows(arms: list[Arm], results: list[Outcome], classes: list[str]) -> Iterator[str]:
    columns = ["start", "labels", "seeds", "steps", "minutes a run", "last third", DICE]
    columns += [DIFFERENCE, "SD of seeds", *(f"Dice {name}" for name in classes), "HD95 in voxels"]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for arm, outcome in zip(arms, results, strict=True):
        minutes = [sum(float(row["seconds"]) for row in rows) / 60 for rows in arm.history]
        values = [arm.start, arm.labels, len(arm.dice), _steps(arm), f"{np.mean(minutes):.1f}"]
        values += [_number(arm.last_third, "+.1f"), _interval(outcome.dice)]
        values += [_interval(outcome.difference, "+") if outcome.difference else "-"]
        values += [_number(outcome.dice.seed_sd, ".3f")]
        values += [_number(summarise(arm.dice[:, :, c]).mean, ".3f") for c in range(len(classes))]
        values += [_distance(arm)]
        yield f"| {' | '.join(map(str, values))} |"


def _distance(arm: Arm) -> str:
    """Format the mean surface distance of the found structures, and the number of missed ones."""
    mean = _number(summarise(mean_of(arm.distance)).mean, ".2f")
    scored = np.isfinite(arm.dice)
    missed = int((scored & ~np.isfinite(arm.distance)).sum())
    return f"{mean} ({missed} of {int(scored.sum())} missed)" if missed else mean


def _number(value: float, form: str) -> str:
    return format(value, form) if np.isfinite(value) else "-"


def _interval(value: Estimate, sign: str = "") -> str:
    if not np.isfinite(value.low):
        return _number(value.mean, f"{sign}.3f")
    return f"{value.mean:{sign}.3f} ({value.low:{sign}.3f} to {value.high:{sign}.3f})"


def _means(arm: Arm) -> np.ndarray:
    """Return the mean over the classes (seeds, cases)."""
    return mean_of(arm.dice)


def _difference(arm: Arm, scratch: Arm | None) -> Estimate | None:
    if scratch is None or scratch is arm or scratch.dice.shape != arm.dice.shape:
        return None
    return summarise(_means(arm) - _means(scratch))


def _write_cases(arms: list[Arm], classes: list[str], path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["start", "labels", "seed number", "case", *(f"Dice {name}" for name in classes)])
        for arm in arms:
            for seed, case in np.ndindex(*arm.dice.shape[:2]):
                writer.writerow([arm.start, arm.labels, seed, arm.cases[case], *arm.dice[seed, case].round(4)])


def outcomes(arms: Sequence[Arm]) -> list[Outcome]:
    """Summarise the arms of a study: mean Dice, and the difference from training from scratch."""
    scratch = {arm.labels: arm for arm in arms if arm.start == "scratch"}
    return [
        Outcome(arm.start, arm.labels, summarise(_means(arm)), _difference(arm, scratch.get(arm.labels)))
        for arm in arms
    ]


def draw(rows: Sequence[Outcome], path: Path, title: str) -> None:
    """Draw mean Dice and its difference from scratch against the number of labels, with intervals, as a PNG.

    Each start has one colour. If no row has a difference, the second panel is left out. The file is replaced
    atomically.
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
    runs: Sequence[Run],
    root: Path,
    section: str,
    bundle: Path,
    dataset_dir: Path,
    overrides: Sequence[str],
    folds: int | None,
) -> str:
    command = ["ssl3d", "study", _here(bundle), _public(dataset_dir), _here(root)]
    command += ["--section", section] if folds is None else ["--folds", str(folds)]
    for name, values in (("labels", 1), ("seeds", 2), ("pretrained", 0)):
        command += [f"--{name}", ",".join(dict.fromkeys(str(run[values]) for run in runs))]
    return " ".join([*command, *(word if word.startswith("--") else shlex.quote(word) for word in overrides)])


def _public(dataset_dir: Path) -> str:
    """Return a data folder in a form that works for others: below ``$SSL3D_DATA`` if it lies there."""
    data = os.environ.get("SSL3D_DATA")
    if data and dataset_dir.is_relative_to(Path(data).resolve()):
        return f"$SSL3D_DATA/{dataset_dir.relative_to(Path(data).resolve())}"
    return _here(dataset_dir)


def _here(path: Path) -> str:
    """Return a path for a command line: relative to the working directory if it lies below."""
    below = path.is_relative_to(Path.cwd()) and path != Path.cwd()
    return shlex.quote(str(path.relative_to(Path.cwd()) if below else path))
