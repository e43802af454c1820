"""Draw points of a template, and the places found in other scans."""

import logging
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Evaluator
from torch import Tensor

from ...geometry.world import apply_affine
from ...matching.points import Matches
from .. import drawing
from ..drawing import CORONAL, SYNTHETIC
from ..farthest import farthest
from ..palette import PALETTE, class_colour
from ..plain import plain
from ..point_files import read_points
from .templates import Template, inside

logger = logging.getLogger(__name__)

FILE = "matches.png"
SCANS = 5
POINTS = 12
COLUMNS = 3
PANEL = 4.0, 6.0  # inches: width, largest height
TITLE = 0.55  # inches: height of a panel's title


class Panel(NamedTuple):
    """Coronal picture of a scan, seen from the front, with points; see ``drawing``.

    Attributes:
        title: Title of the panel.
        image: (rows, columns), row 0 at the top.
        spacing: Mm per voxel of the scan along D, H, W.
        true: (N, 2), true places of the points, column and row; nan if unknown.
        found: (N, 2), found places of the points, column and row; nan if not found.
    """

    title: str
    image: np.ndarray
    spacing: list[float]
    true: np.ndarray
    found: np.ndarray


class MatchPictures:
    """Handler of an evaluator that draws ``matches.png``: points of a template, and where they were found in scans.

    Scans are seen from the front, as the mean along the anterior-posterior axis, because the points lie at different
    depths. The picture shows at most 12 points of the template, chosen far from one another in this view, in the first
    five scans with any found point. If a scan has ``landmarks``, see ``read_points``, the picture also shows the true
    places and the median error in mm (in 3D) of all points known in that scan. The post-processing must hold
    ``FindPointsd``, and its images must be oriented RAS.

    Args:
        output_dir: Output folder; made when needed.
        template: First of the templates that were searched for.
        min_score: Lowest score of a point to show, in [-1, 1].
    """

    def __init__(self, output_dir: str | Path, template: Template, min_score: float = -1.0) -> None:
        if not -1 <= min_score <= 1:
            raise ValueError(f"min_score must lie in [-1, 1], got {min_score}.")
        self.output_dir, self.template, self.min_score = Path(output_dir), template, min_score
        # chosen in the view from the front, where points behind one another would overlap
        seen = {name: (place[0].item(), place[2].item()) for name, place in template.points.items()}
        self.shown = farthest(seen, POINTS)
        self.panels: list[Panel] = []
        self.without = 0  # scans in which no point was found
        self.synthetic = template.synthetic

    def attach(self, evaluator: Evaluator) -> None:
        """Keep the first scans, and draw when the evaluation is complete."""
        evaluator.add_event_handler(Events.STARTED, self._start)
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        evaluator.add_event_handler(Events.COMPLETED, self._draw)

    def _start(self, evaluator: Evaluator) -> None:
        self.panels.clear()
        self.without = 0

    def _collect(self, evaluator: Evaluator) -> None:
        for batch, output in zip(evaluator.state.batch, evaluator.state.output, strict=True):
            item = {**batch, **output}
            if len(self.panels) < SCANS and item["matches"] and str(item["name"]) != self.template.name:
                self._add(item, item["matches"][0])

    def _add(self, item: Mapping[str, Any], matches: Matches) -> None:
        image = item["image"]
        names = list(self.template.points)
        kept = [at for at, score in enumerate(matches.scores.tolist()) if score >= self.min_score]
        found = {names[at]: matches.points[at] for at in kept}
        if not found:
            self.without += 1
            return
        known = read_points(item["landmarks"]) if "landmarks" in item else {}
        true = {name: torch.tensor(place, dtype=torch.float64) for name, place in known.items() if name in found}
        true = {name: place for name, place in true.items() if inside(image, place[:, None]).item()}
        title = str(item["name"])
        if true:
            errors = torch.stack([(found[name] - place).norm() for name, place in true.items()])
            title += f"\nmedian error {errors.quantile(0.5).item():.1f} mm ({len(true)} points)"
        self.panels.append(self._panel(title, image, true, found))
        self.synthetic |= bool(item.get("synthetic", False))

    def _panel(self, title: str, image: Any, true: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Panel:
        to_voxel = torch.linalg.inv(plain(image.affine, torch.float64))
        places = []
        for points in (true, found):
            unknown = torch.full((3,), torch.nan, dtype=torch.float64)
            world = torch.stack([points.get(name, unknown) for name in self.shown], dim=1)  # (3, N)
            voxels = apply_affine(to_voxel, world).T.numpy()
            places.append(drawing.pixels_of(voxels, image.shape[1:], CORONAL))
        front = drawing.picture_of(plain(image, torch.float32)[0].mean(dim=1).numpy())
        return Panel(title, front, image.pixdim.tolist(), *places)

    def _draw(self, evaluator: Evaluator) -> None:
        if not self.panels:
            logger.warning(f"No point was found in a scan other than the template: {FILE} is not drawn.")
            return
        self.output_dir.mkdir(parents=True, exist_ok=True)
        first = self._panel(f"{self.template.name}\ntemplate", self.template.image, self.template.points, {})
        if self.without:
            first = first._replace(title=f"{first.title}\nscans without a kept point, not shown: {self.without}")
        draw(self.output_dir / FILE, [first, *self.panels], self.shown, self.synthetic)


def draw(path: Path, panels: Sequence[Panel], names: Sequence[str], synthetic: bool) -> None:
    """Draw panels with numbered points as a PNG, atomically: circles are found places, crosses are true places.

    Args:
        path: Output PNG file.
        panels: Panels of the template, whose points are all true, and of the scans.
        names: Names of the N points, in order, at most as many as there are colours.
        synthetic: Whether to say in the title that the picture shows mechanics only.

    Raises:
        ValueError: no panel, too many points, or arrays of another shape.
    """
    from matplotlib.figure import Figure

    if not panels or not 0 < len(names) <= len(PALETTE):
        raise ValueError(f"A picture needs panels and 1 to {len(PALETTE)} points, got {len(panels)} and {len(names)}.")
    for panel in panels:
        shapes = panel.image.ndim, panel.true.shape, panel.found.shape
        if shapes != (2, (len(names), 2), (len(names), 2)):
            raise ValueError(
                f"{panel.title!r}: an image (rows, columns) with places ({len(names)}, 2) is needed, got "
                f"{panel.image.shape}, {panel.true.shape} and {panel.found.shape}."
            )
    columns = min(COLUMNS, len(panels))
    rows = ceil(len(panels) / columns)
    ratios = [p.image.shape[0] * p.spacing[2] / (p.image.shape[1] * p.spacing[0]) for p in panels]
    width, largest = PANEL
    heights = [min(width * max(ratios[row * columns :][:columns]), largest) + TITLE for row in range(rows)]
    figure = Figure(figsize=(columns * width, sum(heights) + 1.1), layout="constrained", facecolor="white")
    warning = f"{SYNTHETIC}; " if synthetic else ""
    figure.suptitle(
        f"{warning}coronal, from the front; circles: found, crosses: true places, or points of the template",
        fontsize=14,
    )
    grid = figure.subplots(rows, columns, squeeze=False, height_ratios=heights).flatten()
    for axes in grid:
        axes.set_axis_off()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(axes, panel)
    for number, name in enumerate(names, start=1):
        label = f"{number} {name.replace('_', ' ')}"
        grid[0].plot([], [], marker="s", markersize=10, color=class_colour(number), linestyle="none", label=label)
    figure.legend(loc="outside lower center", ncols=columns + 1, fontsize=12)
    drawing.save(figure, path)


def _draw_panel(axes: Any, panel: Panel) -> None:
    from matplotlib.patheffects import Normal, Stroke

    edge = [Stroke(linewidth=4, foreground="black"), Normal()]  # to show on bright tissue
    drawing.show(axes, panel.image, CORONAL, panel.spacing, drawing.window_of(panel.image, 1))
    axes.set_title(panel.title, fontsize=13)
    axes.set_anchor("N")  # titles in one line
    for number, places in enumerate(zip(panel.true, panel.found, strict=True), start=1):
        colour = class_colour(number)
        style = {"color": colour, "path_effects": edge, "markeredgewidth": 2}
        axes.plot(*np.transpose(places), color=colour, linewidth=1.5)
        axes.plot(*places[1], marker="o", markersize=13, markerfacecolor="none", **style)
        axes.plot(*places[0], marker="x", markersize=8, **style)
        for place in [place for place in places[::-1] if np.isfinite(place).all()][:1]:  # where found, else where it is
            text = {"color": "white", "fontsize": 13, "fontweight": "bold", "path_effects": edge}
            axes.annotate(str(number), place, xytext=(8, 5), textcoords="offset points", **text)
