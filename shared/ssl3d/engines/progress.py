"""Report progress: bar with ETA, one log line per epoch, TensorBoard, history.csv."""

import csv
import logging
import time
from collections import Counter
from pathlib import Path

import torch
from ignite.engine import Events
from ignite.handlers import ProgressBar
from monai.engines import Evaluator, Trainer
from monai.handlers import TensorBoardStatsHandler
from torch.utils.tensorboard import SummaryWriter

from ..files.atomic import write_table

logger = logging.getLogger(__name__)

FILE = "history.csv"
COLUMNS = ("epoch", "steps", "seconds", "learning_rate", "loss")  # before those of the evaluator's metrics


class Progress:
    """Handler of a trainer: progress bar on a terminal, one log line per epoch, ``history.csv``, TensorBoard.

    The table has one row per epoch: epoch, steps, seconds, learning rate, mean loss, the mean of each part of the loss
    (if the network returns a dictionary of scalars), the trainer's metrics, and the evaluator's metrics in epochs with
    validation. List it after the handlers that measure and before the one that steps the schedule.

    Args:
        directory: Folder of ``history.csv`` and TensorBoard's file; made when needed.
        evaluator: Evaluator whose metrics are shown, if any.
    """

    def __init__(self, directory: str | Path, evaluator: Evaluator | None = None) -> None:
        self.path = Path(directory) / FILE
        self.evaluator = evaluator

    def attach(self, trainer: Trainer) -> None:
        """Follow the trainer. In a distributed run only the first process reports."""
        if trainer.state.rank > 0:
            return
        trainer.add_event_handler(Events.STARTED, self._start)
        trainer.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        bar = ProgressBar(desc="training", bar_format=None, disable=None)  # None: on a terminal only
        bar.attach(
            trainer,
            event_name=Events.ITERATION_COMPLETED,
            closing_event_name=Events.COMPLETED,
            output_transform=_losses,
        )
        writer = SummaryWriter(str(self.path.parent))
        TensorBoardStatsHandler(writer, output_transform=_losses, tag_name="train_loss").attach(trainer)
        if self.evaluator is not None:
            TensorBoardStatsHandler(writer, iteration_log=False).attach(self.evaluator)
        trainer.add_event_handler(Events.COMPLETED, lambda _: writer.close())

    def _start(self, trainer: Trainer) -> None:
        self.run_started = time.perf_counter()
        self.first_epoch = 0  # not known yet, because the handler that resumes may come later in the list

    def _start_epoch(self, trainer: Trainer) -> None:
        if self.first_epoch == 0:
            self.first_epoch = trainer.state.epoch
            self.rows: list[dict] = []
            if self.first_epoch > 1 and self.path.is_file():
                with self.path.open(newline="") as file:
                    self.rows = [row for row in csv.DictReader(file) if int(row["epoch"]) < self.first_epoch]
        self.epoch_started = time.perf_counter()
        self.sums, self.count = Counter[str](), 0

    def _add(self, trainer: Trainer) -> None:
        self.sums.update(_losses(trainer.state.output))
        self.count += 1

    def _end_epoch(self, trainer: Trainer) -> None:
        state, now = trainer.state, time.perf_counter()
        row = {
            "epoch": state.epoch,
            "steps": state.iteration,
            "seconds": round(now - self.epoch_started, 2),
            "learning_rate": trainer.optimizer.param_groups[0]["lr"],  # type: ignore[attr-defined]
        }
        means = {name: total / self.count for name, total in self.sums.items()}
        row |= means | trainer.state.metrics
        text = f"epoch {state.epoch}/{state.max_epochs}" + "".join(f"  {n} {value:.4f}" for n, value in means.items())
        if self.evaluator is not None and self.evaluator.state.epoch == state.epoch:  # validated in this epoch
            row |= self.evaluator.state.metrics
            text += "".join(f"  {name} {value:.4f}" for name, value in self.evaluator.state.metrics.items())
            text += f" (best {self.evaluator.state.best_metric:.4f})"
        done = state.epoch + 1 - self.first_epoch
        left = (now - self.run_started) / done * (state.max_epochs - state.epoch)
        logger.info(f"{text}  {row['seconds']:.1f} s  {duration(left)} left")
        self.rows.append(row)
        self._write()

    def _write(self) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        write_table(self.path, self.rows, names)


def _losses(output: dict | list[dict]) -> dict[str, float]:
    """Return the loss of an iteration and its parts. Decollated outputs (one dict per case) all hold the same loss."""
    first = output[0] if isinstance(output, list) else output
    parts = first["pred"] if isinstance(first["pred"], dict) else {}
    return {name: torch.as_tensor(value).item() for name, value in {"loss": first["loss"], **parts}.items()}


def duration(seconds: float) -> str:
    """Format a length of time, such as ``45 s``, ``12 min`` or ``3 h 20 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
