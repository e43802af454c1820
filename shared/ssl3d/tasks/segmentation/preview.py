"""Draw a segmentation run during training: slices, ground truth, prediction, loss and validation curves."""

import csv
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ignite.engine import Events
from monai.engines import Evaluator, Trainer
from torch import Tensor

from ...engines import progress
from .. import drawing
from ..drawing import LINE, SYNTHETIC
from ..palette import curve_colour
from .label_picture import draw_label_maps, size_of

FILE = "preview.png"
CURVES = 2.6  # inches: height of the curves


class Preview:
    """Handler of a trainer that draws ``preview.png`` after each validation.

    The picture shows the validation case with the median overlap in the three slices that hold most of its structures,
    with the contours of the ground truth above and those of the prediction below, and the columns of ``history.csv``.
    List it after ``Progress``.

    The median case is known only when all cases are validated. Until then each case waits in a file below
    ``directory``, so that memory does not grow with their number.

    Args:
        directory: Folder of the run; created if needed.
        evaluator: Evaluator of the run; its post-processed batch holds ``image`` (1, D, H, W) and one-hot ``label`` and
            ``pred`` (C, D, H, W) with class 0 as background.
        label_names: Name of each foreground class, in order.
    """

    def __init__(self, directory: str | Path, evaluator: Evaluator, label_names: list[str]) -> None:
        self.path = Path(directory) / FILE
        self.evaluator = evaluator
        self.label_names = list(label_names)
        self.cases: list[tuple[float, str, Path]] = []  # score, name, file
        self.folder = Path(directory) / ".preview"
        self.synthetic = False
        self.spacing: list[float] = []  # of the network's grid, the same for all cases

    def attach(self, trainer: Trainer) -> None:
        """Collect cases during validation and draw when the trainer's epoch is complete, on the first process only."""
        if trainer.state.rank == 0:
            self.evaluator.add_event_handler(Events.EPOCH_STARTED, self._start)
            self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
            trainer.add_event_handler(Events.EPOCH_COMPLETED, self._draw_if_validated)

    def _start(self, evaluator: Evaluator) -> None:
        self.cases.clear()
        shutil.rmtree(self.folder, ignore_errors=True)  # also the leftovers of a killed run
        self.folder.mkdir(parents=True)

    def _collect(self, evaluator: Evaluator) -> None:
        for item, output in zip(evaluator.state.batch, evaluator.state.output, strict=True):
            label, pred = _classes(output["label"]), _classes(output["pred"])
            overlap = 2 * ((label == pred) & (label > 0)).sum() / max(1, (label > 0).sum() + (pred > 0).sum())
            self.spacing = drawing.spacing_of(output["image"])
            image = output["image"][0].detach().cpu().numpy()
            file = self.folder / f"{len(self.cases)}.npz"
            np.savez(file, image=image.astype(np.float16), label=label.astype(np.uint8), pred=pred.astype(np.uint8))
            self.cases.append((float(overlap), str(item.get("name", "")), file))
            self.synthetic |= bool(item.get("synthetic", False))

    def _draw_if_validated(self, trainer: Trainer) -> None:
        if self.evaluator.state.epoch == trainer.state.epoch and self.cases:
            _, name, median = sorted(self.cases, key=lambda case: case[0])[len(self.cases) // 2]
            with np.load(median) as kept:
                image, label, pred = kept["image"].astype(np.float32), kept["label"], kept["pred"]
            shutil.rmtree(self.folder)
            self.cases.clear()
            with self.path.with_name(progress.FILE).open(newline="") as file:
                history = list(csv.DictReader(file))
            title = f"{SYNTHETIC if self.synthetic else 'validation'}, median case {name}".strip()
            with drawing.never_fatal(self.path):
                draw(self.path, image, label, pred, self.label_names, history, title, self.spacing)


def _classes(one_hot: Tensor) -> np.ndarray:
    return one_hot.detach().argmax(dim=0).cpu().numpy()  # (C, D, H, W) -> (D, H, W)


def draw(
    path: Path,
    image: np.ndarray,
    label: np.ndarray,
    pred: np.ndarray,
    label_names: Sequence[str],
    history: Sequence[Mapping[str, str]],
    title: str,
    spacing: Sequence[float] = (1, 1, 1),
) -> None:
    """Draw slices with contours above the curves of a run as a PNG, atomically.

    Args:
        path: Output PNG file.
        image: (D, H, W), oriented RAS, any intensities.
        label: (D, H, W), class ids of the ground truth.
        pred: (D, H, W), class ids of the prediction.
        label_names: Name of classes 1, 2 and so on.
        history: Rows of ``history.csv``; columns other than the run's bookkeeping are drawn as validation curves.
        title: Title of the whole figure.
        spacing: Mm per voxel along D, H, W.
    """
    from matplotlib.figure import Figure

    names = dict(enumerate(label_names, start=1))
    width, height = size_of(image.shape, spacing, 2, names)
    figure = Figure(figsize=(width, 2 * LINE + height + CURVES), layout="constrained")
    figure.suptitle(f"{title}\nslices of the scan as the network sees it, {drawing.mm(spacing)}", fontsize=10)
    above, below = figure.subfigures(2, 1, height_ratios=(height, CURVES))
    draw_label_maps(above, image, {"truth": label, "prediction": pred}, names, spacing, drawing.window_of(image, 1, 99))

    left, right = below.subplots(1, 2)
    left.plot([int(r["steps"]) for r in history], [float(r["loss"]) for r in history], color="black")
    left.set(xlabel="steps", ylabel="training loss")
    curves = [n for n in dict.fromkeys(n for r in history for n in r) if n not in progress.COLUMNS]
    for number, name in enumerate(curves):
        rows = [row for row in history if row.get(name)]
        x, y = [int(row["steps"]) for row in rows], [float(row[name]) for row in rows]
        right.plot(x, y, marker="o", markersize=4, color=curve_colour(number), label=name)
    right.set(xlabel="steps", ylabel="validation", ylim=(0, 1))
    right.legend(fontsize=9)
    drawing.save(figure, path)
