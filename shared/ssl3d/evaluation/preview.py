"""A picture of a segmentation run while it trains: slices, truth, prediction, loss and validation curves."""

import csv
import shutil
from pathlib import Path

import numpy as np
from ignite.engine import Events
from monai.engines import Evaluator, Trainer
from torch import Tensor

from ..data.content import replacing
from ..engines import progress

FILE = "preview.png"
PLANES = ("sagittal", "coronal", "axial")  # slices along the axes of an RAS volume
COLOURS = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),  # told apart by everybody
    *("#ff00ff", "#8c510a", "#7fff00", "#9467bd", "#00ffff", "#ff9896", "#999999"),  # where there are more classes
)
COLUMNS = 5  # of the legend


class Preview:
    """Handler of a trainer that draws ``preview.png`` after each validation.

    It shows the validation case with the median Dice, in the three slices that hold most of its structures: the image,
    the truth's contours, the prediction's contours; below, the columns of ``history.csv``. List it after ``Progress``.

    Which case is the median is known when all are validated. Until then each waits in a file below ``directory``, so
    that memory does not grow with their number.

    Args:
        directory: folder of the run; made when needed.
        evaluator: the evaluator of the run; its post-processed batch holds ``image`` (1, D, H, W) and one-hot ``label``
            and ``pred`` (C, D, H, W), class 0 being the background.
        label_names: name of each class of the foreground, in order.
    """

    def __init__(self, directory: str | Path, evaluator: Evaluator, label_names: list[str]) -> None:
        self.path = Path(directory) / FILE
        self.evaluator = evaluator
        self.label_names = list(label_names)
        self.cases: list[tuple[float, str, Path]] = []  # score, name, file
        self.folder = Path(directory) / ".preview"
        self.synthetic = False

    def attach(self, trainer: Trainer) -> None:
        """Collect during validation, draw when the trainer's epoch is complete; on the first process only."""
        if trainer.state.rank == 0:
            self.evaluator.add_event_handler(Events.EPOCH_STARTED, self._start)
            self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
            trainer.add_event_handler(Events.EPOCH_COMPLETED, self._draw_if_validated)

    def _start(self, evaluator: Evaluator) -> None:
        self.cases.clear()
        shutil.rmtree(self.folder, ignore_errors=True)  # of a run that was killed, too
        self.folder.mkdir(parents=True)

    def _collect(self, evaluator: Evaluator) -> None:
        for item, output in zip(evaluator.state.batch, evaluator.state.output, strict=True):
            label, pred = _classes(output["label"]), _classes(output["pred"])
            overlap = 2 * ((label == pred) & (label > 0)).sum() / max(1, (label > 0).sum() + (pred > 0).sum())
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
            title = "mechanics only: synthetic anatomy" if self.synthetic else "validation"
            draw(self.path, image, label, pred, self.label_names, history, f"{title}, median case {name}".strip())


def _classes(one_hot: Tensor) -> np.ndarray:
    return one_hot.detach().argmax(dim=0).cpu().numpy()  # (C, D, H, W) -> (D, H, W)


def draw(
    path: Path,
    image: np.ndarray,
    label: np.ndarray,
    pred: np.ndarray,
    label_names: list[str],
    history: list[dict[str, str]],
    title: str,
) -> None:
    """Slices with contours above the curves of a run, as a PNG that is replaced at once.

    Args:
        path: of the PNG.
        image: (D, H, W), oriented RAS, any intensities.
        label: (D, H, W), class numbers of the truth.
        pred: (D, H, W), class numbers of the prediction.
        label_names: name of classes 1, 2 and so on.
        history: rows of ``history.csv``; columns other than the run's bookkeeping are drawn as validation curves.
        title: of the whole figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    figure.suptitle(title)
    above, below = figure.subfigures(2, 1, height_ratios=(2, 1))
    grid = above.subplots(2, 3)
    low, high = np.percentile(image, (1, 99))
    for column, plane in enumerate(PLANES):
        others = tuple(axis for axis in range(3) if axis != column)
        index = int((label > 0).sum(axis=others).argmax())
        cut = [np.take(volume, index, axis=column).T for volume in (image, label, pred)]
        for row, (what, classes) in enumerate((("truth", cut[1]), ("prediction", cut[2]))):
            axes = grid[row, column]
            axes.imshow(cut[0], cmap="gray", vmin=low, vmax=high, origin="lower", interpolation="nearest")
            for number, _ in enumerate(label_names, start=1):
                if (classes == number).any():
                    colour = COLOURS[(number - 1) % len(COLOURS)]
                    axes.contour(classes == number, levels=[0.5], colors=colour, linewidths=1.5)
            axes.set_title(f"{what}, {plane} {index}", fontsize=9)
            axes.set_axis_off()
    for number, name in enumerate(label_names):
        grid[0, 0].plot([], [], color=COLOURS[number % len(COLOURS)], label=name)
    above.legend(
        *grid[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=min(COLUMNS, len(label_names)),
        fontsize=9,
    )

    left, right = below.subplots(1, 2)
    left.plot([int(r["steps"]) for r in history], [float(r["loss"]) for r in history], color="black")
    left.set(xlabel="steps", ylabel="training loss")
    curves = [n for n in dict.fromkeys(n for r in history for n in r) if n not in progress.COLUMNS]
    for name in curves:
        rows = [row for row in history if row.get(name)]
        right.plot([int(r["steps"]) for r in rows], [float(r[name]) for r in rows], marker="o", label=name)
    right.set(xlabel="steps", ylabel="validation", ylim=(0, 1))
    right.legend(fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
