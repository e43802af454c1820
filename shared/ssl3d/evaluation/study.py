"""Label-efficiency study: one bundle, several numbers of labels, starting weights and seeds, one table."""

import itertools
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..data.sources import read_source
from .study_report import Run, write_report

logger = logging.getLogger(__name__)


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
    """Train and evaluate every combination as processes of ``python -m monai.bundle run``, and report on them.

    Finished parts are not repeated, so a study that was stopped goes on where it was; an unfinished training resumes
    from its checkpoint. All runs share the bundle's settings: the same steps, the same validation. The report is the
    table ``<section>.md``, the score of each case in ``<section>.csv`` and the picture ``<section>.png``.

    Args:
        bundle: folder of a segmentation bundle.
        dataset_dir: its data.
        output_dir: folder of the study.
        labels: numbers of labelled training cases, ``all`` included.
        seeds: of the runs; the labelled sets of one seed are nested.
        pretrained: starting weights: ``none``, bundles' names, or paths, relative ones to the working directory.
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
    starts = [str(Path(p).resolve()) if Path(p).is_file() else str(p) for p in pretrained]
    runs = [Run(p, str(k), s) for p, k, s in itertools.product(starts, labels, seeds)]
    dataset_dir = Path(dataset_dir).resolve()
    synthetic = dataset_dir.is_dir() and read_source(dataset_dir).synthetic

    def execute(run: Run) -> None:
        for command, result in _commands(run, root, dataset_dir, section, overrides, synthetic):
            _execute(command, result, bundle, run.folder(root))
        logger.info(f"done: pretrained {run.pretrained}, labels {run.labels}, seed {run.seed}")

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(execute, runs))
    return write_report(runs, root, section, bundle, dataset_dir, overrides)


def _commands(
    run: Run, root: Path, dataset_dir: Path, section: str, overrides: Sequence[str], synthetic: bool
) -> list[tuple[list[str], Path]]:
    """Training and evaluation of a run, each with the file that proves it was done."""
    folder = run.folder(root)
    models = folder / "demo" if synthetic else folder / "models"  # where a run puts its weights
    common = [
        *("--dataset_dir", str(dataset_dir), "--output_dir", str(folder), "--model_dir", str(models)),
        *("--num_labelled", run.labels, "--seed", str(run.seed), *overrides),
    ]
    program = [sys.executable, "-m", "monai.bundle", "run", "--config_file"]
    train = [*program, "configs/train.json", *common, "--pretrained", run.pretrained, "--resume", "true"]
    evaluate = [*program, "['configs/train.json','configs/evaluate.json']", *common, "--section", section]
    return [(train, models / "model.pt"), (evaluate, folder / section / "val_mean_dice_raw.csv")]


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
