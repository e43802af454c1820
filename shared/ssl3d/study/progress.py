"""Show the progress of a study: trained epochs, and the remaining time of trainings and evaluations."""

import csv
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ..engines import progress
from .scores import history_of

logger = logging.getLogger(__name__)

POLL = 2.0  # seconds between two looks at the runs' progress
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} epochs{postfix}"


class StudyProgress:
    """Show the trained epochs of all runs and the time that is left, while a ``with`` block runs.

    Args:
        folders: Folders of the runs.
        epochs: Number of epochs of each.
        evaluations: Number of evaluations that the study has to do.
        jobs: Number of processes at a time.
    """

    def __init__(self, folders: Sequence[Path], epochs: int, evaluations: int = 0, jobs: int = 1) -> None:
        self.folders, self.epochs = folders, epochs
        self.evaluations, self.jobs = evaluations, max(1, min(jobs, len(folders)))
        self.evaluated: list[float] = []  # seconds of each evaluation
        self.ended = threading.Event()

    def __enter__(self) -> "StudyProgress":
        self.started, self.before = time.monotonic(), self._done()
        total = len(self.folders) * self.epochs
        self.bar = tqdm(total=total, initial=self.before, desc="Study", bar_format=BAR, disable=None)
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        self.bar.close()

    def left(self, elapsed: float, done: int) -> float | None:
        """Estimate the remaining seconds of the study; None while there is nothing to estimate from.

        Until the first evaluation has ended, an evaluation counts as one epoch.

        Args:
            elapsed: Seconds since the start.
            done: Number of trained epochs.
        """
        trained, missing = done - self.before, len(self.folders) * self.epochs - done
        spent = sum(self.evaluated)
        epoch = max(0.0, elapsed * self.jobs - spent) / trained if trained else 0.0
        evaluation = spent / len(self.evaluated) if self.evaluated else epoch
        waiting = max(0, self.evaluations - len(self.evaluated))
        if (missing and not epoch) or (waiting and not evaluation):
            return None
        return (missing * epoch + waiting * evaluation) / self.jobs

    def _watch(self) -> None:
        said = self.started
        while not self.ended.wait(POLL):
            done, now = self._done(), time.monotonic()
            self.bar.update(done - self.bar.n)
            left = self.left(now - self.started, done)
            text = "" if left is None else f"about {progress.duration(left)} left"
            self.bar.set_postfix_str(text)
            if self.bar.disable and now - said > 60 and text:  # no terminal: a line per minute
                logger.info(f"{done} of {len(self.folders) * self.epochs} epochs trained, {text}")
                said = now

    def _done(self) -> int:
        return sum(min(self.epochs, self._epochs(folder)) for folder in self.folders)

    def _epochs(self, folder: Path) -> int:
        try:
            with history_of(folder).open(newline="") as file:
                return sum(1 for _ in csv.reader(file)) - 1
        except OSError:
            return 0
