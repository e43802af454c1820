"""Draw a registered pair: slices before and after, a checkerboard, the displacement field."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Evaluator
from torch import Tensor

from ...geometry import warp_flow
from ...geometry.world import apply_affine, moving_points, sample_at, world_slabs
from .. import drawing
from ..drawing import LINE, PLANES, SYNTHETIC, Plane
from .scores import Scores

logger = logging.getLogger(__name__)

FILE = "picture.png"
BAR = 0.14  # inches between a panel and the end of its colour bar
WIDTH = 12.0  # inches
SQUARES = 5  # squares of the checkerboard along the shorter side
LINES = 12  # lines of the deformed grid along the shorter side


class Slice(NamedTuple):
    """One slice of a registered pair on the network's grid, as pictures: row 0 at the top, see ``drawing``.

    Attributes:
        plane: Plane of the slice.
        number: Number of the slice.
        spacing: Mm per voxel along D, H, W.
        images: ``fixed``, ``moving`` (before), ``warped``: (rows, columns).
        labels: Label maps of the same names, where there are any.
        flow: (2, rows, columns), displacement in pixels along columns and rows.
        length: (rows, columns), length of the whole displacement in mm.
    """

    plane: Plane
    number: int
    spacing: list[float]
    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    flow: np.ndarray
    length: np.ndarray


class RegistrationPictures:
    """Handler of an evaluator that draws ``<output_dir>/<name>/picture.png`` of each pair and logs its scores.

    The post-processing must end with ``WarpOntoFixedd`` and ``ScoreRegistrationd``.

    Args:
        output_dir: Output folder of ``SaveRegistrationd``; folders are made when needed.
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir)

    def attach(self, evaluator: Evaluator) -> None:
        """Draw after each batch."""
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, evaluator: Evaluator) -> None:
        """Draw the pairs of the batch."""
        for batch, output in zip(evaluator.state.batch, evaluator.state.output, strict=True):
            item = {**batch, **output}
            folder = self.output_dir / item["name"]
            folder.mkdir(parents=True, exist_ok=True)
            logger.info(f"{item['name']}: {item['scores'].sentence()}.")
            draw(folder / FILE, cut(item), item["scores"], item["name"], bool(item.get("synthetic", False)))


def cut(item: Mapping[str, Any]) -> list[Slice]:
    """Return the axial, coronal and sagittal slice of a pair that hold most of the fixed labels, or the middle ones.

    Args:
        item: Item as ``score`` takes it, with ``image`` (2, D, H, W): moving and fixed, oriented RAS, on the network's
            grid.
    """
    image, flow = item["image"].as_tensor().cpu(), item["pred"].detach().cpu().double()
    affine = item["fixed"].affine.cpu().double()
    spacing = torch.linalg.vector_norm(affine[:3, :3], dim=0)  # (3,)
    volumes = {"fixed": image[1], "moving": image[0], "warped": warp_flow(image[None, :1], flow[None])[0, 0]}
    labels = _labels(item, flow, affine, image.shape[1:])
    length = torch.linalg.vector_norm(flow * spacing.view(3, 1, 1, 1), dim=0)
    slices = []
    for plane in PLANES:
        index = image.shape[1 + plane.axis] // 2
        if "fixed" in labels:
            index = drawing.fullest(labels["fixed"].numpy(), plane)

        def picture(volume: Tensor, plane: Plane = plane, index: int = index) -> np.ndarray:
            return drawing.slice_of(volume.numpy(), plane, index)

        slices.append(
            Slice(
                plane,
                index,
                spacing.tolist(),
                {name: picture(volume) for name, volume in volumes.items()},
                {name: picture(label) for name, label in labels.items()},
                -np.stack([picture(flow[plane.across]), picture(flow[plane.up])]),  # against columns and rows
                picture(length),
            )
        )
    return slices


def _labels(item: Mapping[str, Any], flow: Tensor, affine: Tensor, size: torch.Size) -> dict[str, Tensor]:
    """Return the label maps (D, H, W) of the item, on the network's grid."""
    ((_, points),) = world_slabs(size, affine, planes=size[0])
    shift = item["moving_shift"].double()
    places = {
        "fixed": ("fixed_label", points),
        "moving": ("moving_label", points + shift.view(3, 1, 1, 1)),
        "warped": ("moving_label", moving_points(points, flow, affine, shift)),
    }
    found = {}
    for name, (key, world) in places.items():
        if key in item:
            voxels = apply_affine(torch.linalg.inv(item[key].affine.cpu().double()), world)
            found[name] = sample_at(item[key].as_tensor().cpu(), voxels, "nearest")[0]
    return found


def draw(path: Path, slices: Sequence[Slice], scores: Scores, name: str, synthetic: bool) -> None:
    """Draw fixed image, moving image before and after, checkerboard and field as a PNG, atomically.

    Args:
        path: Output PNG file.
        slices: Slices of the pair, one per row.
        scores: Scores for the titles.
        name: Name of the pair.
        synthetic: Whether to say in the title that the picture shows mechanics only.
    """
    from matplotlib.figure import Figure

    before, after = ("" if np.isnan(dice) else f", Dice {dice:.3f}" for dice in (scores.dice_before, scores.dice_after))
    titles = (f"before{before}", f"registered{after}", "checkerboard: fixed, registered", "displacement, mm")
    side = WIDTH / 5 - 0.16
    heights = [side * s.length.shape[0] * s.spacing[s.plane.up] for s in slices]
    heights = [h / (s.length.shape[1] * s.spacing[s.plane.across]) for h, s in zip(heights, slices, strict=True)]
    heights = [min(height, side * drawing.MAX_ASPECT / 2) for height in heights]
    total = sum(heights) + LINE * (4 + len(slices)) + 2 * BAR
    figure = Figure(figsize=(WIDTH, total), layout="constrained", facecolor="white")
    figure.suptitle(f"{SYNTHETIC + '; ' if synthetic else ''}{name}\n{scores.sentence()}", fontsize=11)
    grid = figure.subplots(len(slices), 5, squeeze=False, height_ratios=[height + LINE for height in heights])
    longest = max(max(s.length.max() for s in slices), 1e-6)
    for row, s in zip(grid, slices, strict=True):
        window = drawing.window_of(s.images["fixed"])
        for axes, key in zip(row, ("fixed", "moving", "warped"), strict=False):
            drawing.show(axes, s.images[key], s.plane, s.spacing, window)
            _contours(axes, s.labels, key)
        drawing.show(row[3], s.images["fixed"], s.plane, s.spacing, window)
        _squares(row[3], drawing.show(row[3], s.images["warped"], s.plane, s.spacing, window, letters=False))
        shown = drawing.show(row[4], s.length, s.plane, s.spacing, (0, longest), cmap="viridis")
        _deformed_grid(row[4], s.flow)
        row[0].set_title(f"fixed, {s.plane.title(s.number)}", fontsize=9)
    for axes, title in zip(grid[0, 1:], titles, strict=True):
        axes.set_title(title, fontsize=9)
    bar = grid[-1, 4].inset_axes((0.1, -BAR / heights[-1], 0.8, BAR / 2 / heights[-1]))
    figure.colorbar(shown, cax=bar, orientation="horizontal").ax.tick_params(labelsize=7)
    if "fixed" in slices[0].labels:
        figure.supxlabel("colours: labels of each image; dashed: labels of the fixed image", fontsize=9)
    drawing.save(figure, path)


def _contours(axes: Any, labels: Mapping[str, np.ndarray], key: str) -> None:
    """Outline an image's own labels, and with white dashes those of the fixed image, their target."""
    numbers = sorted({int(number) for label in labels.values() for number in np.unique(label) if number > 0})
    if key != "fixed" and "fixed" in labels:
        drawing.outline(axes, labels["fixed"], numbers, colors="black", linewidths=1.6)  # to show on bright tissue
        drawing.outline(axes, labels["fixed"], numbers, colors="white", linewidths=0.9, linestyles="dashed")
    if key in labels:
        drawing.outline(axes, labels[key], numbers)


def _squares(axes: Any, image: Any) -> None:
    """Hide every second square of a checkerboard in an image of a panel."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    rows, columns = image.get_array().shape
    side = min(rows, columns) / SQUARES
    corners = np.indices((int(np.ceil(columns / side)), int(np.ceil(rows / side)))).reshape(2, -1).T
    unit = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)])
    squares = [Outline((unit + np.array(corner)) * side - 0.5, closed=True) for corner in corners if corner.sum() % 2]
    every_second = Outline.make_compound_path(*squares)
    patch = axes.add_patch(PathPatch(every_second, facecolor="none", edgecolor="white", linewidth=0.5, alpha=0.5))
    image.set_clip_path(patch)


def _deformed_grid(axes: Any, flow: np.ndarray) -> None:
    """Draw a regular grid of the fixed image as the field deforms it."""
    rows, columns = flow.shape[1:]
    step = max(1, min(rows, columns) // LINES)
    y, x = np.indices((rows, columns)) + flow[::-1]
    for line in range(0, rows, step):
        axes.plot(x[line], y[line], color="white", linewidth=0.6)
    for line in range(0, columns, step):
        axes.plot(x[:, line], y[:, line], color="white", linewidth=0.6)
