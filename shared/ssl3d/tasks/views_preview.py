"""Draw a pre-training run during training: the method's output for held-out volumes, and curves."""

import csv
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Evaluator, Trainer
from monai.utils import CommonKeys
from torch import Tensor, nn

from ..engines import progress
from ..engines.network_parts import method_of
from . import drawing
from .drawing import AXIAL, LINE, SYNTHETIC
from .palette import curve_colour
from .segmentation.preview import FILE

WIDEST = 6  # curves in a row
CURVE_HEIGHT = 1.6  # inches
UNITS = {"displacement": "voxels", "match_error": "mm", "target_entropy": "nats", "feature_rank": "dimensions"}
TOGETHER = {"chance": "accuracy"}  # curves to compare, drawn in one panel
GRADIENTS = "gradient_"  # shares of the gradient: one panel


class ViewsPreview:
    """Handler of a trainer that draws ``preview.png`` after each validation of a pre-training.

    The picture shows the method's ``pictures(views)`` of the first validation batch, one volume per row. Below is one
    panel per quantity: the loss, its parts, and the monitors of the method. List it after ``Progress``.

    Args:
        directory: Folder of the run; created if needed.
        evaluator: Evaluator of the run, whose batches are made into views.
        network: Method, with or without its distributed wrapper.
        rows: Number of volumes to show; those with the least padding are chosen.
    """

    def __init__(self, directory: str | Path, evaluator: Evaluator, network: nn.Module, rows: int = 2) -> None:
        self.path = Path(directory) / FILE
        self.evaluator = evaluator
        self.network: Any = method_of(network)  # None in an evaluation, which draws no views
        self.rows = rows
        self.views: dict[str, Tensor] = {}
        self.names: list[str] = []
        self.synthetic = False
        self.spacing = [1.0, 1.0, 1.0]

    def attach(self, trainer: Trainer) -> None:
        """Keep views of a validation and draw when the trainer's epoch is complete, on the first process only."""
        if trainer.state.rank == 0:
            self.evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=1), self.keep)
            trainer.add_event_handler(Events.EPOCH_COMPLETED, self._draw_if_validated)

    def keep(self, evaluator: Evaluator) -> None:
        """Keep views of the batch that an evaluator has just seen."""
        views = evaluator.state.output[CommonKeys.IMAGE]
        real = [view.flatten(1).float().mean(dim=1) for name, view in views.items() if name.endswith("valid")]
        first = next(iter(views.values()))
        order = torch.stack(real).sum(dim=0).argsort(descending=True, stable=True) if real else torch.arange(len(first))
        self.views = {name: view[order.to(view.device)[: self.rows]] for name, view in views.items()}
        batch = evaluator.state.batch
        names = batch.get("name", batch.get("fixed_name", ()))
        self.names = [str(names[row]) for row in order[: self.rows].tolist()] if len(names) else []
        images = [value for value in evaluator.state.batch.values() if hasattr(value, "affine")]
        self.spacing = drawing.spacing_of(images[0] if images else None)
        self.synthetic = bool(torch.as_tensor(evaluator.state.batch.get("synthetic", False)).any())

    def _draw_if_validated(self, trainer: Trainer) -> None:
        if self.evaluator.state.epoch != trainer.state.epoch or not self.views:
            return
        with self.path.with_name(progress.FILE).open(newline="") as file:
            history = list(csv.DictReader(file))
        with drawing.never_fatal(self.path):
            self.draw(f"after {trainer.state.iteration} steps", history)

    def draw(self, title: str, history: Sequence[Mapping[str, str]] = ()) -> None:
        """Draw the views kept last.

        Args:
            title: Second half of the figure's title.
            history: Rows of ``history.csv``.
        """
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad():
                pictures = {name: p.float().cpu().numpy() for name, p in self.network.pictures(self.views).items()}
        finally:
            self.network.train(training)
        title = f"{SYNTHETIC if self.synthetic else 'validation'}, {title}"
        draw(self.path, pictures, history, title, self.spacing, self.names)


def draw(
    path: Path,
    pictures: Mapping[str, np.ndarray],
    history: Sequence[Mapping[str, str]],
    title: str,
    spacing: Sequence[float] = (1, 1, 1),
    names: Sequence[str] = (),
) -> None:
    """Draw axial slices of volumes above the curves of a run as a PNG, atomically.

    Curves are drawn from the second epoch on.

    Args:
        path: Output PNG file.
        pictures: Title -> (B, D, H, W) or (B, C, D, H, W), oriented RAS; one column each, one row per volume. Three
            channels are colours, of others the first is drawn. Intensities in [0, 1], NaN for hidden voxels.
        history: Rows of ``history.csv``.
        title: Title of the whole figure.
        spacing: Mm per voxel along D, H, W.
        names: Names of the volumes.
    """
    from matplotlib.figure import Figure

    volumes = {name: volume if volume.ndim == 5 else volume[:, None] for name, volume in pictures.items()}
    first = next(iter(volumes.values()))
    aspect = drawing.aspect_of(first.shape[2:], spacing, AXIAL)
    panels = curves_of(history) if len(history) > 1 else {}
    columns = min(range(min(3, len(panels) or 1), WIDEST + 1), key=lambda count: (-len(panels) % count, -count))
    width, height = drawing.fit([aspect] * len(volumes), 2.6, 1.9 * columns if panels else 5.0, 12.0)
    slices = len(first) * (height + LINE) + 3 * LINE
    curves = CURVE_HEIGHT * ceil(len(panels) / columns)
    figure = Figure(figsize=(width, slices + curves), layout="constrained")
    hidden = any(np.isnan(volume).any() for volume in volumes.values())
    notes = f"axial, from below, {drawing.mm(spacing)}; black margins: outside the scan{'; blue: hidden' * hidden}"
    figure.suptitle(f"{title}\n{notes}", fontsize=10)
    above, *below = figure.subfigures(2, 1, height_ratios=(slices, curves)) if panels else [figure]
    grid = above.subplots(len(first), len(volumes), squeeze=False)
    for row, axes_of_row in enumerate(grid):
        index = drawing.fullest(first[row, 0], AXIAL, 0.8)
        for axes, (name, volume) in zip(axes_of_row, volumes.items(), strict=True):
            cut = drawing.slice_of(volume[row], AXIAL, index)
            picture = np.moveaxis(cut, 0, -1) if len(cut) == 3 else cut[0]
            drawing.show(axes, picture, AXIAL, spacing, (0, 1), name if row == 0 else "", interpolation="nearest")
        name = axes_of_row[0].get_title()
        axes_of_row[0].set_title("")
        case = f"{names[row]}, " if names else ""
        # left-aligned, because the name of a case may be wider than its panel
        axes_of_row[0].set_title(f"{case}slice {index}\n{name}".strip(), fontsize=9, loc="left")
    if below:
        _draw_curves(below[0], panels, columns)
    drawing.save(figure, path)


Curve = tuple[str, list[int], list[float]]  # name, steps, values


def curves_of(history: Sequence[Mapping[str, str]]) -> dict[str, list[Curve]]:
    """Sort the columns of ``history.csv`` into panels, each of one quantity and one unit, by title."""
    names = list(dict.fromkeys(name for row in history for name in row if name not in progress.COLUMNS[:-1]))
    curves: dict[str, Curve] = {}
    for name in names:
        rows = [row for row in history if row.get(name)]
        curves[name] = name, [int(row["steps"]) for row in rows], [float(row[name]) for row in rows]
    panels: dict[str, list[Curve]] = {}
    for name, curve in curves.items():
        quantity = name.removeprefix("val_")
        if name != "loss" and curve[2] == curves["loss"][2]:
            continue  # the only part of the loss
        quantity = "gradient shares" if quantity.startswith(GRADIENTS) else TOGETHER.get(quantity, quantity)
        unit = f", {UNITS[quantity]}" if quantity in UNITS else ""
        panels.setdefault(quantity.replace("_", " ") + unit, []).append(curve)
    return panels


def _draw_curves(figure: Any, panels: Mapping[str, Sequence[Curve]], columns: int) -> None:
    """Draw one panel per quantity, training as a line and validation as dots."""
    grid = figure.subplots(ceil(len(panels) / columns), columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, curves) in zip(grid.flat, panels.items(), strict=False):
        names = list(dict.fromkeys(name.removeprefix("val_") for name, _, _ in curves))
        for name, steps, values in curves:
            quantity = name.removeprefix("val_")
            style = {"marker": "o", "markersize": 3, "linewidth": 0.8} if name != quantity else {"linewidth": 1.2}
            label = "validation" if name != quantity else "training"
            if len(names) > 1:
                label = quantity.removeprefix(GRADIENTS) if name == quantity else "_"  # not in the legend
            colour = curve_colour(1 if name != quantity and len(names) == 1 else names.index(quantity))
            axes.plot(steps, values, color=colour, label=label, **style)
        positive = [value for _, _, values in curves for value in values if value > 0]
        if len(positive) == sum(len(values) for _, _, values in curves) and max(positive) > 30 * min(positive):
            axes.set_yscale("log")
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.set_xlabel("steps", fontsize=8)
        if len(curves) > 1:
            axes.legend(fontsize=7)
