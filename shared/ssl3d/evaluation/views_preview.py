"""A picture of a pre-training run while it goes on: what the method makes of held-out volumes, and the loss."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Evaluator, Trainer
from monai.utils import CommonKeys
from torch import Tensor, nn

from ..data.content import replacing
from ..engines import progress
from ..engines.checkpoints import unwrapped
from .preview import FILE


class ViewsPreview:
    """Handler of a trainer that draws ``preview.png`` after each validation of a pre-training.

    It shows the first volumes of the validation, one a row, through the pictures that the method's ``pictures(views)``
    gives; below, the training loss with its parts, what is watched besides (the method's ``monitors`` and the shares of
    the gradient), and the validation. List it after ``Progress``.

    Args:
        directory: folder of the run; made when needed.
        evaluator: the evaluator of the run, whose batches are made into views.
        network: the method.
        rows: volumes to show.
    """

    def __init__(self, directory: str | Path, evaluator: Evaluator, network: nn.Module, rows: int = 2) -> None:
        self.path = Path(directory) / FILE
        self.evaluator = evaluator
        self.network: Any = unwrapped(network)
        self.rows = rows
        self.views: dict[str, Tensor] = {}
        self.synthetic = False

    def attach(self, trainer: Trainer) -> None:
        """Keep the first views of a validation, draw when the trainer's epoch is complete; on the first process."""
        if trainer.state.rank == 0:
            self.evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=1), self._keep)
            trainer.add_event_handler(Events.EPOCH_COMPLETED, self._draw_if_validated)

    def _keep(self, evaluator: Evaluator) -> None:
        self.views = {name: view[: self.rows] for name, view in evaluator.state.output[CommonKeys.IMAGE].items()}
        self.synthetic = bool(torch.as_tensor(evaluator.state.batch.get("synthetic", False)).any())

    def _draw_if_validated(self, trainer: Trainer) -> None:
        if self.evaluator.state.epoch != trainer.state.epoch or not self.views:
            return
        training = self.network.training
        self.network.eval()
        with torch.no_grad():
            pictures = {name: p[:, 0].cpu().numpy() for name, p in self.network.pictures(self.views).items()}
        self.network.train(training)
        with self.path.with_name(progress.FILE).open(newline="") as file:
            history = list(csv.DictReader(file))
        title = "mechanics only: synthetic anatomy" if self.synthetic else "validation"
        monitors = getattr(self.network, "monitors", ())
        draw(self.path, pictures, history, f"{title}, after {trainer.state.iteration} steps", monitors)


def draw(
    path: Path, pictures: dict[str, np.ndarray], history: list[dict[str, str]], title: str, monitors: Sequence[str] = ()
) -> None:
    """Middle slices of volumes above the curves of a run, as a PNG that is replaced at once.

    Args:
        path: of the PNG.
        pictures: (B, D, H, W) by name, oriented RAS, intensities in [0, 1]; one column each, one row a volume.
        history: rows of ``history.csv``.
        title: of the whole figure.
        monitors: columns that are no part of the loss.
    """
    from matplotlib.figure import Figure

    rows = len(next(iter(pictures.values())))
    curves = [name for name in history[0] if name not in progress.COLUMNS[:-1] and not name.startswith("val_")]
    watched = [name for name in curves if name in monitors or name.startswith("gradient_")]
    width, height = (10.5, 5) if watched else (2.4 * len(pictures), 3)
    figure = Figure(figsize=(width, 2.6 * rows + height), layout="constrained")
    figure.suptitle(title)
    above, below = figure.subfigures(2, 1, height_ratios=(2.6 * rows, height))
    grid = above.subplots(rows, len(pictures), squeeze=False)
    for column, (name, volumes) in enumerate(pictures.items()):
        for axes, volume in zip(grid[:, column], volumes, strict=True):
            cut = volume[volume.shape[0] // 2].T
            axes.imshow(cut, cmap="gray", vmin=0, vmax=1, origin="lower", interpolation="nearest")
            axes.set_axis_off()
        grid[0, column].set_title(name, fontsize=9)

    left, *middle, right = below.subplots(1, 3 if watched else 2)
    steps = [int(row["steps"]) for row in history]
    groups = {"training": [name for name in curves if name not in watched], "watched": watched}
    for axes, (what, names) in zip((left, *middle), groups.items(), strict=False):
        for name in names:
            colour = "black" if name == "loss" else None
            axes.plot(steps, [float(row[name]) for row in history], label=name, color=colour)
        axes.set(xlabel="steps", ylabel=what, yscale="log")
        _legend(axes)
    for name in dict.fromkeys(name for row in history for name in row if name.startswith("val_")):
        validated = [row for row in history if row.get(name)]
        x, y = [int(row["steps"]) for row in validated], [float(row[name]) for row in validated]
        right.plot(x, y, marker="o", label=name)
    right.set(xlabel="steps", ylabel="validation", yscale="log" if watched else "linear")
    _legend(right)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _legend(axes: Any) -> None:
    """Names of the curves, half an inch below the axes, where they hide nothing."""
    from matplotlib.transforms import offset_copy

    below = offset_copy(axes.transAxes, axes.figure, y=-0.5, units="inches")
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, ncols=2)
