"""Run a label-efficiency study: one bundle, several numbers of labels, starting weights and seeds, one table."""

import itertools
import logging
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .. import weights
from ..engines.run_settings import differences
from ..files.atomic import replacing
from ..files.readable_json import readable_json
from ..files.texts import read_json
from ..tasks.segmentation import class_table
from .processes import Processes
from .progress import StudyProgress
from .report import write_report
from .runs import HELD_OUT, Run, check_labels, check_runs, check_settings, read_cases, smallest_training, write_folds

logger = logging.getLogger(__name__)

FILE = "study.json"


class Step(NamedTuple):
    """Process of a run.

    Attributes:
        command: Program with its arguments.
        result: File that exists after the process has succeeded.
    """

    command: list[str]
    result: Path


def study(
    bundle: str | Path,
    dataset_dir: str | Path,
    output_dir: str | Path,
    *,
    labels: Sequence[str | int] = (4, 16, "all"),
    seeds: Sequence[int] = (0, 1, 2),
    pretrained: Sequence[str] = ("none",),
    section: str = "validation",
    folds: int | None = None,
    jobs: int = 2,
    settings: Mapping[str, str] | None = None,
) -> Path:
    """Train and evaluate every combination as processes of ``python -m monai.bundle run``, and report on them.

    Invalid settings are refused before the first training. Finished parts are not repeated, so a stopped study
    continues when it is started again, and an unfinished training resumes from its checkpoint. All runs share the
    bundle's settings, such as the number of steps and the validation. The report is the table ``<section>.md``, the
    score of each case in ``<section>.csv`` and the picture ``<section>.png``.

    Args:
        bundle: Folder of a segmentation bundle.
        dataset_dir: Folder of the data.
        output_dir: Folder of the study.
        labels: Numbers of labelled training cases, or ``all``.
        seeds: Seeds of the runs; the labelled sets of one seed are nested.
        pretrained: Starting weights: ``none``, bundles' names, or paths relative to the working directory.
        section: ``validation`` to choose settings, ``test`` once they are frozen.
        folds: Number of folds of a cross-validation over all labelled cases but a declared test section; the number of
            cases gives leave-one-out. Each fold is trained without validation, so that its cases choose no weights.
            None: no cross-validation.
        jobs: Number of processes at a time, with one thread each.
        settings: Keys of the bundle's config and their values, for trainings and evaluations.

    Returns:
        Path of the table.

    Raises:
        FileNotFoundError: no such bundle, data or weights.
        ValueError: settings, labels, section or folds that cannot work.
        RuntimeError: a run failed; the message names its log.
        KeyboardInterrupt: the study was interrupted and its runs have ended; the message says how to continue.
    """
    bundle, root, settings = Path(bundle).resolve(), Path(output_dir).resolve(), dict(settings or {})
    parser = check_settings(bundle, settings)
    counts = [str(number) for number in labels]
    if folds is not None and "split" in settings:
        raise ValueError("--folds divides the cases itself: leave --split out.")
    if Path(settings.get("split", "")).is_file():
        settings["split"] = str(Path(settings["split"]).resolve())  # the runs have another working directory
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}.")
    starts = [str(Path(p).resolve()) if Path(p).is_file() else str(p) for p in pretrained]
    for start in starts:
        weights.resolve(start, bundle)
    dataset_dir = Path(dataset_dir).expanduser().resolve()
    source, divided = read_cases(parser, dataset_dir)
    splits: list[Path | None] = [None]
    if folds is None:
        check_runs(divided, counts, section)
    else:
        splits = list(files := write_folds(source, divided, folds, root))
        section = HELD_OUT
        total = sum(map(len, divided.sections.values()))
        check_labels(counts, smallest_training(files), f"{folds} folds of {total} cases")
    runs = [
        Run(start, number, seed, None if file is None else fold)
        for start, number, seed, (fold, file) in itertools.product(starts, counts, seeds, enumerate(splits))
    ]
    common = [word for key, value in settings.items() for word in (f"--{key}", value)]
    claim(root, {"bundle": bundle.name, "dataset_dir": str(dataset_dir), **settings})

    work = []
    for run in runs:
        split = splits[run.fold or 0]
        own = [*common, "--split", str(split)] if split else common
        work.append((run, _commands(run, root, dataset_dir, section, own, source.synthetic)))
    epochs = int(settings.get("epochs") or parser.get("epochs") or 1)
    try:
        _run_all(work, root, bundle, epochs, jobs)
        return write_report(runs, root, section, bundle, dataset_dir, common, folds)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"the study was interrupted. What is finished is kept in {root}: the same command continues."
        ) from None


def _run_all(work: Sequence[tuple[Run, list[Step]]], root: Path, bundle: Path, epochs: int, jobs: int) -> None:
    """Train and evaluate all runs, several at a time; end their processes on an interruption."""
    processes = Processes()
    folders = [run.folder(root) for run, _ in work]
    waiting = sum(not evaluation.result.is_file() for _, (_, evaluation) in work)

    def execute(run: Run, steps: list[Step]) -> None:
        training, evaluation = steps
        _execute(training, bundle, run.folder(root), processes)
        started = time.monotonic()
        if _execute(evaluation, bundle, run.folder(root), processes):
            shown.evaluated.append(time.monotonic() - started)
        fold = "" if run.fold is None else f", fold {run.fold}"
        logger.info(f"done: pretrained {run.pretrained}, labels {run.labels}, seed {run.seed}{fold}")

    with StudyProgress(folders, epochs, waiting, jobs) as shown, ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(execute, run, steps) for run, steps in work]
        try:
            for future in futures:
                future.result()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)  # runs that have not begun should not fail too
            if isinstance(error, KeyboardInterrupt):
                processes.stop()
            raise


def claim(root: Path, facts: Mapping[str, str]) -> None:
    """Store what all runs of a study share in ``study.json``; refuse a folder with the results of another study.

    Raises:
        ValueError: The folder's study has another bundle, data set or setting; the message names each difference.
    """
    file = root / FILE
    differing = differences(read_json(file), facts) if file.is_file() else []
    if differing:
        lines = "\n".join(f"  {line}" for line in differing)
        raise ValueError(f"{root} holds the results of another study:\n{lines}\nChoose another output folder.")
    root.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        temporary.write_text(readable_json(dict(facts)), encoding="utf-8")


def _commands(
    run: Run, root: Path, dataset_dir: Path, section: str, settings: Sequence[str], synthetic: bool
) -> list[Step]:
    """Return the steps of a run: training and evaluation."""
    folder = run.folder(root)
    models = folder / "demo" if synthetic else folder  # where a run writes its weights
    common = [
        *("--dataset_dir", str(dataset_dir), "--output_dir", str(folder)),
        *("--num_labelled", run.labels, "--seed", str(run.seed), *settings),
    ]
    program = [sys.executable, "-m", "monai.bundle", "run", "--config_file"]
    train = [*program, "configs/train.json", *common, "--pretrained", run.pretrained, "--resume", "true"]
    evaluate = [*program, "['configs/train.json','configs/evaluate.json']", *common, "--section", section]
    evaluate += ["--weights", str(models / "model.pt")]
    return [Step(train, models / "model.pt"), Step(evaluate, folder / section / class_table.FILE)]


def _execute(step: Step, bundle: Path, folder: Path, processes: Processes) -> bool:
    """Run a step unless it is already done; return whether it was run.

    Raises:
        RuntimeError: The step failed; the message names its log.
    """
    if step.result.is_file():
        return False
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log.txt"
    with log.open("a") as file:
        file.write(f"$ {shlex.join(step.command)}\n")
        file.flush()
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        status = processes.run(step.command, cwd=bundle, env=environment, stdout=file, stderr=subprocess.STDOUT)
    if status != 0 or not step.result.is_file():
        last = log.read_text().strip().splitlines()[-1]
        raise RuntimeError(f"a run of the study failed, see {log}: {last}")
    return True
