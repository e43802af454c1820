"""Report the scores of each class by name at the end of an evaluation."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ignite.engine import Events
from monai.engines import Evaluator

from ...files.atomic import replacing

logger = logging.getLogger(__name__)

FILE = "classes.csv"
COLUMNS = ("class", "cases", "missed", "mean_dice", "median_hausdorff95")


class ClassTable:
    """Handler of a segmentation's evaluator that logs one row per class and writes ``classes.csv``.

    A row has the name, the number of cases whose ground truth holds the class, the number of these in which the class
    was missed completely, the mean Dice, and the median of the 95th percentile of the surface distance. Mean and median
    are over all cases that hold the class. A missed class has Dice 0 and an infinite distance.

    Args:
        directory: Folder of the file; made when needed.
        label_names: Name of each class of the foreground, in order.
        dice: Name of the metric with the Dice of each case and class; nan where the truth lacks the class.
        distance: Name of the metric with the distance.

    Examples:
        >>> ClassTable("output/test", ["anterior", "posterior"]).attach(evaluator)  # doctest: +SKIP
    """

    def __init__(
        self,
        directory: str | Path,
        label_names: Sequence[str],
        dice: str = "val_mean_dice",
        distance: str = "val_hausdorff95",
    ) -> None:
        self.path = Path(directory) / FILE
        self.label_names = list(label_names)
        self.dice, self.distance = dice, distance

    def attach(self, evaluator: Evaluator) -> None:
        """Write the table when the evaluation is complete, on the first process."""
        if evaluator.state.rank == 0:
            evaluator.add_event_handler(Events.COMPLETED, self)

    def __call__(self, evaluator: Evaluator) -> None:
        """Log and write the rows.

        Raises:
            ValueError: there are more or fewer classes than names.
        """
        details = evaluator.state.metric_details
        dice, distance = (details[name].cpu().numpy() for name in (self.dice, self.distance))  # (cases, classes)
        if dice.shape[1] != len(self.label_names):
            raise ValueError(f"{dice.shape[1]} classes were scored, and label_names has {len(self.label_names)}.")
        rows = [_row(name, dice[:, i], distance[:, i]) for i, name in enumerate(self.label_names)]
        width = max(map(len, (COLUMNS[0], *self.label_names)))
        logger.info(f"{COLUMNS[0]:<{width}}  cases  missed  mean Dice  median HD95 in voxels")
        for name, cases, missed, mean, median in rows:
            logger.info(f"{name:<{width}}  {cases:>5}  {missed:>6}  {mean:>9}  {median:>21}")
        if self.dice in evaluator.state.metrics:
            total = f"{len(dice)} case{'s' * (len(dice) > 1)}"
            logger.info(f"Mean Dice over {total}: {evaluator.state.metrics[self.dice]:.4f}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])


def _row(name: str, dice: np.ndarray, distance: np.ndarray) -> tuple[str, int, int, str, str]:
    there = np.isfinite(dice)
    if not there.any():
        return name, 0, 0, "-", "-"
    found = np.where(np.isfinite(distance[there]), distance[there], np.inf)
    missed = int(np.isinf(found).sum())
    return name, int(there.sum()), missed, f"{dice[there].mean():.3f}", f"{np.median(found):.1f}"
