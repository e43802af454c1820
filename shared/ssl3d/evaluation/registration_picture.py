"""A picture of a registered pair: slices before and after, a checkerboard, the field."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Evaluator
from torch import Tensor

from ..data.content import replacing
from ..geometry import warp_flow
from ..geometry.world import apply_affine, moving_points, sample_at, world_slabs
from .preview import COLOURS, PLANES
from .registration import Scores

logger = logging.getLogger(__name__)

FILE = "picture.png"
SQUARES = 6  # of the checkerboard, along the shorter side
COLUMNS = ("moving, before", "moving, registered", "checkerboard: fixed, registered", "displacement")
LINES = 14  # of the deformed grid, along the shorter side


class Slice(NamedTuple):
    """One plane through a registered pair on the network's grid; the first axis of all arrays is drawn upwards.

    Attributes:
        title: plane and index.
        aspect: height of a pixel over its width.
        images: ``fixed``, ``moving`` (before), ``warped``: (V, U).
        labels: of the same names, where there are label maps.
        flow: (2, V, U), displacement in voxels along U and V.
        length: (V, U), length of the whole displacement in mm.
    """

    title: str
    aspect: float
    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    flow: np.ndarray
    length: np.ndarray


class RegistrationPictures:
    """Handler of an evaluator that draws ``<output_dir>/<name>/picture.png`` of each pair and logs its scores.

    The post-processing must end with ``WarpOntoFixedd`` and ``ScoreRegistrationd``.

    Args:
        output_dir: as of ``SaveRegistrationd``; folders are made when needed.
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
    """The sagittal, coronal and axial slice of a pair that hold most of the fixed labels, else the middle ones.

    Args:
        item: as ``score`` takes it, with ``image`` (2, D, H, W), moving and fixed, oriented RAS, on the network's grid.
    """
    image, flow = item["image"].as_tensor().cpu(), item["pred"].detach().cpu().double()
    affine = item["fixed"].affine.cpu().double()
    spacing = torch.linalg.vector_norm(affine[:3, :3], dim=0)  # (3,)
    volumes = {"fixed": image[1], "moving": image[0], "warped": warp_flow(image[None, :1], flow[None])[0, 0]}
    labels = _labels(item, flow, affine, image.shape[1:])
    length = torch.linalg.vector_norm(flow * spacing.view(3, 1, 1, 1), dim=0)
    slices = []
    for axis, plane in enumerate(PLANES):
        u, v = (other for other in range(3) if other != axis)
        index = image.shape[1 + axis] // 2
        if "fixed" in labels:
            index = int((labels["fixed"] > 0).sum(dim=(u, v)).argmax())

        def plane_of(volume: Tensor, axis: int = axis, index: int = index) -> np.ndarray:
            return volume.select(axis, index).T.numpy()  # (V, U)

        slices.append(
            Slice(
                f"{plane} {index}",
                (spacing[v] / spacing[u]).item(),
                {name: plane_of(volume) for name, volume in volumes.items()},
                {name: plane_of(label) for name, label in labels.items()},
                np.stack([plane_of(flow[u]), plane_of(flow[v])]),
                plane_of(length),
            )
        )
    return slices


def _labels(item: Mapping[str, Any], flow: Tensor, affine: Tensor, size: torch.Size) -> dict[str, Tensor]:
    """The label maps (D, H, W) that there are, on the network's grid."""
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


def draw(path: Path, slices: list[Slice], scores: Scores, name: str, synthetic: bool) -> None:
    """Fixed, moving before and after, checkerboard and field of a pair as a PNG that is replaced at once.

    Args:
        path: of the PNG.
        slices: one a row.
        scores: for the title.
        name: of the pair.
        synthetic: the title then says that it shows mechanics only.
    """
    from matplotlib.figure import Figure

    heights = [s.length.shape[0] * s.aspect / s.length.shape[1] for s in slices]
    figure = Figure(figsize=(13, 2.4 * sum(heights) + 1.1), layout="constrained", facecolor="white")
    figure.suptitle(
        f"{name}\n{'mechanics only: synthetic anatomy; ' if synthetic else ''}{scores.sentence()}", fontsize=11
    )
    grid = figure.subplots(len(slices), 5, squeeze=False, height_ratios=heights)
    longest = max(max(s.length.max() for s in slices), 1e-6)
    for row, s in zip(grid, slices, strict=True):
        low, high = np.percentile(s.images["fixed"], (0.5, 99.5))
        show = {"cmap": "gray", "vmin": low, "vmax": high, "origin": "lower", "aspect": s.aspect}
        side = max(1, min(s.length.shape) // SQUARES)
        odd = (np.indices(s.length.shape) // side).sum(axis=0) % 2 == 1
        for axes, key in zip(row, ("fixed", "moving", "warped"), strict=False):
            axes.imshow(s.images[key], **show)
            _contours(axes, s.labels, key)
        row[3].imshow(np.where(odd, s.images["warped"], s.images["fixed"]), **show)
        shown = row[4].imshow(s.length, cmap="viridis", vmin=0, vmax=longest, origin="lower", aspect=s.aspect)
        _deformed_grid(row[4], s.flow)
        for axes in row:
            axes.set_axis_off()
            axes.set(xlim=(-0.5, s.length.shape[1] - 0.5), ylim=(-0.5, s.length.shape[0] - 0.5))
        row[0].set_title(f"fixed, {s.title}", fontsize=9)
    for axes, title in zip(grid[0, 1:], COLUMNS, strict=True):
        axes.set_title(title, fontsize=9)
    figure.colorbar(shown, ax=grid[:, 4], label="mm", shrink=0.6)
    if "fixed" in slices[0].labels:
        figure.supxlabel("colours: the labels of each image; dashed: those of the fixed one", fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _contours(axes: Any, labels: Mapping[str, np.ndarray], key: str) -> None:
    """The outlines of an image's own labels, and in white dashes those of the fixed one, where they should be."""
    ids = sorted({int(number) for label in labels.values() for number in np.unique(label) if number > 0})
    for number in ids:
        if key != "fixed" and "fixed" in labels and (labels["fixed"] == number).any():
            place = labels["fixed"] == number
            axes.contour(place, levels=[0.5], colors="black", linewidths=1.6)  # so that it shows on bright tissue too
            axes.contour(place, levels=[0.5], colors="white", linewidths=0.9, linestyles="dashed")
        if key in labels and (labels[key] == number).any():
            axes.contour(
                labels[key] == number, levels=[0.5], colors=COLOURS[(number - 1) % len(COLOURS)], linewidths=1.5
            )


def _deformed_grid(axes: Any, flow: np.ndarray) -> None:
    """Lines of a regular grid of the fixed image, drawn where the field takes them in the moving one."""
    rows, columns = flow.shape[1:]
    step = max(1, min(rows, columns) // LINES)
    v, u = np.indices((rows, columns)) + flow[::-1]
    for line in range(0, rows, step):
        axes.plot(u[line], v[line], color="white", linewidth=0.6)
    for line in range(0, columns, step):
        axes.plot(u[:, line], v[:, line], color="white", linewidth=0.6)
