"""Label-efficiency study: one bundle, several numbers of labels, starting weights and seeds, one table."""

import csv
import itertools
import logging
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from .. import weights
from ..data.content import replacing
from ..data.readable_json import readable_json
from ..data.texts import read_json
from ..engines import progress
from ..engines.run_settings import differences
from .study_report import write_report
from .study_runs import (
    HELD_OUT,
    Run,
    check_labels,
    check_runs,
    check_settings,
    read_cases,
    smallest_training,
    write_folds,
)
from .study_scores import history_of

logger = logging.getLogger(__name__)

FILE = "study.json"
POLL = 2.0  # seconds between two looks at the runs' progress


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

    What cannot work is refused before the first training. Finished parts are not repeated, so a study that was stopped
    goes on where it was; an unfinished training resumes from its checkpoint. All runs share the bundle's settings: the
    same steps, the same validation. The report is the table ``<section>.md``, the score of each case in
    ``<section>.csv`` and the picture ``<section>.png``.

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
        jobs: Processes at a time, one thread each.
        settings: Keys of the bundle's config and their values, for trainings and evaluations.

    Returns:
        Path of the table.

    Raises:
        FileNotFoundError: no such bundle, data or weights.
        ValueError: settings, labels, section or folds that cannot work.
        RuntimeError: a run failed; names its log.
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

    def execute(run: Run) -> None:
        split = splits[run.fold or 0]
        chosen = [*common, "--split", str(split)] if split else common
        for command, result in _commands(run, root, dataset_dir, section, chosen, source.synthetic):
            _execute(command, result, bundle, run.folder(root))
        fold = "" if run.fold is None else f", fold {run.fold}"
        logger.info(f"done: pretrained {run.pretrained}, labels {run.labels}, seed {run.seed}{fold}")

    epochs = int(settings.get("epochs") or parser.get("epochs") or 1)
    with _Progress([run.folder(root) for run in runs], epochs), ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(execute, run) for run in runs]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # what has not begun need not fail too
            raise
    return write_report(runs, root, section, bundle, dataset_dir, common, folds)


def claim(root: Path, facts: Mapping[str, str]) -> None:
    """Keep what all runs of a study share in ``study.json``, and refuse a folder that holds results of something else.

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
) -> list[tuple[list[str], Path]]:
    """Training and evaluation of a run, each with the file that proves it was done."""
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


class _Progress:
    """Show the trained epochs of all runs and the time that is left, while a ``with`` block runs.

    Args:
        folders: Folders of the runs.
        epochs: Number of epochs of each.
    """

    def __init__(self, folders: Sequence[Path], epochs: int) -> None:
        self.folders, self.epochs = folders, epochs
        self.ended = threading.Event()

    def __enter__(self) -> None:
        self.started, self.before = time.monotonic(), self._done()
        total = len(self.folders) * self.epochs
        self.bar = tqdm(total=total, initial=self.before, desc="Study", unit=" epochs", disable=None)
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        self.bar.close()

    def _watch(self) -> None:
        said = self.started
        while not self.ended.wait(POLL):
            done = self._done()
            self.bar.update(done - self.bar.n)
            now = time.monotonic()
            if self.bar.disable and now - said > 60 and done > self.before:  # no terminal: a line per minute
                left = (now - self.started) / (done - self.before) * (self.bar.total - done)
                logger.info(f"{done} of {self.bar.total} epochs trained, about {progress.duration(left)} left")
                said = now

    def _done(self) -> int:
        return sum(min(self.epochs, self._epochs(folder)) for folder in self.folders)

    def _epochs(self, folder: Path) -> int:
        try:
            with history_of(folder).open(newline="") as file:
                return sum(1 for _ in csv.reader(file)) - 1
        except OSError:
            return 0
