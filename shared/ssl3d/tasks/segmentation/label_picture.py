"""Draw label maps over a scan: one row per label map, one column per plane, with the Dice of each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import drawing
from ..drawing import LINE, PLANES


def size_of(shape: Sequence[int], spacing: Sequence[float], rows: int, names: Mapping[int, str]) -> tuple[float, float]:
    """Return width and height in inches of ``draw_label_maps``.

    Args:
        shape: (D, H, W) of the scan.
        spacing: Mm per voxel along D, H, W.
        rows: Number of label maps.
        names: Names of the classes in the legend, by id.
    """
    aspects = [drawing.aspect_of(shape, spacing, plane) for plane in PLANES]
    width, height = drawing.fit(aspects, 2.6, 8.0, 11.0)
    lines = -(-len(names) // drawing.legend_columns(names, width))
    return width, rows * (height + 2 * LINE) + LINE * (1 + lines)


def draw_label_maps(
    figure: Any,
    image: np.ndarray,
    maps: Mapping[str, np.ndarray],
    names: Mapping[int, str],
    spacing: Sequence[float],
    window: tuple[float, float],
) -> None:
    """Outline label maps over the slices of a scan that hold most of the classes of the first label map.

    Args:
        figure: Figure or subfigure of matplotlib, of ``size_of``.
        image: (D, H, W), oriented RAS.
        maps: Label maps (D, H, W) by title. The first one is the ground truth, the others get their mean Dice with it.
        names: Names of the classes to draw, by id.
        spacing: Mm per voxel along D, H, W.
        window: Intensities to draw as black and white.
    """
    truth = next(iter(maps.values()))
    aspects = [drawing.aspect_of(image.shape, spacing, plane) for plane in PLANES]
    grid = figure.subplots(len(maps), len(PLANES), width_ratios=aspects, squeeze=False)
    for row, (title, classes) in zip(grid, maps.items(), strict=True):
        dice = np.nan if classes is truth else mean_dice(truth, classes, names)
        for axes, plane in zip(row, PLANES, strict=True):
            number = slice_with_most(truth, plane, list(names))
            drawing.show(axes, drawing.slice_of(image, plane, number), plane, spacing, window)
            drawing.outline(axes, drawing.slice_of(classes, plane, number), names)
            axes.set_title(plane.title(number), fontsize=9, loc="left")
        score = "" if np.isnan(dice) else f", mean Dice {dice:.3f}"
        row[0].set_title(f"{title}{score}\n{row[0].get_title(loc='left')}", fontsize=9, loc="left")
    drawing.class_legend(figure, names, size_of(image.shape, spacing, len(maps), names)[0])


def slice_with_most(truth: np.ndarray, plane: drawing.Plane, numbers: Sequence[int]) -> int:
    """Return the slice with most classes; of several such slices, the slice with most voxels of these classes."""
    inside = [(truth == number).sum(axis=(plane.across, plane.up)) for number in numbers]
    counts = np.stack([np.count_nonzero(inside, axis=0), np.sum(inside, axis=0)])
    return int(np.lexsort(counts[::-1])[-1]) if counts.any() else truth.shape[plane.axis] // 2


def mean_dice(truth: np.ndarray, found: np.ndarray, numbers: Sequence[int] | Mapping[int, str]) -> float:
    """Return the mean Dice over the classes in the ground truth; nan if it has none."""
    scores = [dice_of(truth == number, found == number) for number in numbers]
    return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")


def dice_of(truth: np.ndarray, found: np.ndarray) -> float:
    """Return the Dice coefficient of two masks; nan if the ground truth is empty."""
    return float(2 * (truth & found).sum() / (truth.sum() + found.sum())) if truth.any() else float("nan")
