"""Label-efficiency study: one bundle, several numbers of labels, starting weights and seeds, one table."""

import csv
import itertools
import json
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..engines import progress
from .statistics import estimate

logger = logging.getLogger(__name__)


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


def study(
    bundle: str | Path,
    dataset_dir: str | Path,
    output_dir: str | Path,
    *,
    labels: Sequence[str | int] = (4, 16, "all"),
    seeds: Sequence[int] = (0, 1, 2),
    pretrained: Sequence[str] = ("none",),
    section: str = "validation",
    jobs: int = 2,
    overrides: Sequence[str] = (),
) -> Path:
    """Train and evaluate every combination as processes of ``python -m monai.bundle run``; write ``<section>.md``.

    Finished parts are not repeated, so a study that was stopped goes on where it was; an unfinished training resumes
    from its checkpoint. All runs share the bundle's settings: the same steps, the same validation.

    Args:
        bundle: folder of a segmentation bundle.
        dataset_dir: its data.
        output_dir: folder of the study.
        labels: numbers of labelled training cases, ``all`` included.
        seeds: of the runs; the labelled sets of one seed are nested.
        pretrained: starting weights.
        section: ``validation`` to choose settings, ``test`` once they are frozen.
        jobs: processes at a time, one thread each.
        overrides: further arguments of the training, such as ``["--epochs", "10"]``.

    Returns:
        Path of the table.

    Raises:
        FileNotFoundError: no such bundle.
        RuntimeError: a run failed; names its log.
    """
    bundle, root = Path(bundle).resolve(), Path(output_dir).resolve()
    if not (bundle / "configs" / "train.json").is_file():
        raise FileNotFoundError(f"{bundle} is not a bundle: it has no configs/train.json.")
    runs = [Run(str(p), str(k), s) for p, k, s in itertools.product(pretrained, labels, seeds)]
    dataset_dir = Path(dataset_dir).resolve()

    def execute(run: Run) -> None:
        for command, result in _commands(run, run.folder(root), dataset_dir, section, overrides):
            _execute(command, result, bundle, run.folder(root))
        logger.info(f"done: pretrained {run.pretrained}, labels {run.labels}, seed {run.seed}")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(execute, runs))
    table = root / f"{section}.md"
    table.write_text(_table(runs, root, section, bundle, dataset_dir, overrides))
    return table


def _commands(
    run: Run, folder: Path, dataset_dir: Path, section: str, overrides: Sequence[str]
) -> list[tuple[list[str], Path]]:
    """Training and evaluation of a run, each with the file that proves it was done."""
    common = [
        *("--dataset_dir", str(dataset_dir), "--output_dir", str(folder), "--model_dir", str(folder / "models")),
        *("--num_labelled", run.labels, "--seed", str(run.seed), *overrides),
    ]
    program = [sys.executable, "-m", "monai.bundle", "run", "--config_file"]
    train = [*program, "configs/train.json", *common, "--pretrained", run.pretrained, "--resume", "true"]
    evaluate = [*program, "['configs/train.json','configs/evaluate.json']", *common, "--section", section]
    return [
        (train, folder / "models" / "model.pt"),
        (evaluate, folder / section / "val_mean_dice_raw.csv"),
    ]


def _execute(command: list[str], result: Path, bundle: Path, folder: Path) -> None:
    if result.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    with log.open("a") as file:
        file.write(f"$ {shlex.join(command)}\n")
        file.flush()
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=bundle, env=environment, stdout=file, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0 or not result.is_file():
        last = log.read_text().strip().splitlines()[-1]
        raise RuntimeError(f"a run of the study failed, see {log}: {last}")


def _scores(folder: Path, section: str, metric: str) -> np.ndarray:
    """Scores (cases, classes) of one run, cases sorted by file."""
    with (folder / section / f"{metric}_raw.csv").open(newline="") as file:
        _, *rows = csv.reader(file)  # below the header: file, classes, mean over classes
    return np.array([[float(value) for value in row[1:-1]] for row in sorted(rows)])


def _table(runs: list[Run], root: Path, section: str, bundle: Path, dataset_dir: Path, overrides: Sequence[str]) -> str:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    classes = list(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values())[1:]
    lines = [
        "| start | labels | seeds | steps | minutes a run | mean Dice (95 % interval) | SD of seeds | "
        + " | ".join(f"Dice {name}" for name in classes)
        + " | HD95 in voxels |",
        "|---" * (8 + len(classes)) + "|",
    ]
    for (start, labels), group in itertools.groupby(runs, key=lambda run: run[:2]):
        folders = [run.folder(root) for run in group]
        dice = np.stack([_scores(folder, section, "val_mean_dice") for folder in folders])  # (S, N, C)
        distance = np.stack([_scores(folder, section, "val_hausdorff95") for folder in folders])
        histories = [list(csv.DictReader((folder / progress.FILE).open())) for folder in folders]
        minutes = [sum(float(row["seconds"]) for row in history) / 60 for history in histories]
        mean = estimate(np.nanmean(dice, axis=2))
        surface = estimate(np.nanmean(np.where(np.isfinite(distance), distance, np.nan), axis=2))
        lines.append(
            f"| {'scratch' if start.lower() == 'none' else start} | {labels} | {len(folders)} | "
            f"{histories[0][-1]['steps']} | {np.mean(minutes):.1f} | "
            f"{mean.mean:.3f} ({mean.low:.3f} to {mean.high:.3f}) | {mean.seed_sd:.3f} | "
            + " | ".join(f"{estimate(dice[:, :, c]).mean:.3f}" for c in range(len(classes)))
            + f" | {surface.mean:.2f} |"
        )
    text = (
        f"{section}: {dice.shape[1]} cases. Interval: over cases, of each case's mean over the seeds (BCa bootstrap)."
    )
    command = ["ssl3d", "study", f"bundles/{bundle.name}", _public(dataset_dir), root.name, "--section", section]
    for name, values in (("labels", 1), ("seeds", 2), ("pretrained", 0)):
        command += [f"--{name}", ",".join(dict.fromkeys(str(run[values]) for run in runs))]
    return "\n".join([*lines, "", text, "", "```", " ".join([*command, *overrides]), "```", ""])


def _public(dataset_dir: Path) -> str:
    """A data folder as others can write it: below ``$SSL3D_DATA`` where that holds it."""
    data = os.environ.get("SSL3D_DATA")
    if data and dataset_dir.is_relative_to(Path(data).resolve()):
        return f"$SSL3D_DATA/{dataset_dir.relative_to(Path(data).resolve())}"
    return str(dataset_dir)
