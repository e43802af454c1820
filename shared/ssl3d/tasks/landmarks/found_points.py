"""Find points of templates in scans; write files of points per scan and a table of all scans."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import Evaluator
from monai.transforms import Transform

from ...files.atomic import write_table
from ...geometry.world import apply_affine
from ...matching.points import EmbeddedScan, Matches, match_points
from ..plain import plain
from ..point_files import AXES, write_points
from .templates import Template, original_affine

logger = logging.getLogger(__name__)

TABLE = "points.csv"
# Measured on synthetic abdomens, two thirds of them cut in two: 8 % of the points outside a scan reach this score, and
# 64 % of the points inside.
MIN_SCORE = 0.75
FORMATS = ("mrk.json", "csv", "json")


class FindPointsd(Transform):
    """Find the points of templates in a scan that the network has embedded.

    It needs ``pred`` (2 E, d, h, w), the embedding, and ``image`` (C, D, H, W), a ``MetaTensor``, the input of the
    network. It adds ``matches``: the found points of each template, in order (``Matches``).

    Args:
        templates: Templates with the points to find.
        skip_bad: Whether to warn of a constant scan and give it an empty list of matches, instead of raising.

    Raises:
        ValueError: on call, a constant scan, such as one outside of the intensity window.
    """

    def __init__(self, templates: Sequence[Template], skip_bad: bool = False) -> None:
        self.templates, self.skip_bad = list(templates), skip_bad

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``data`` with ``matches`` added."""
        image = data["image"]
        if image.amin() == image.amax():
            text = (
                f"{image.meta.get('filename_or_obj', 'a scan')}: there is nothing to find in a scan that has the value "
                f"{image.amin().item():g} everywhere after preprocessing. Check the file and its intensity window"
            )
            if not self.skip_bad:
                raise ValueError(f"{text}, or set --skip_bad true.")
            logger.warning("%s. Left out.", text)
            return {**data, "matches": []}
        depth, height, width = image.shape[1:]
        embedding = data["pred"].as_tensor() if hasattr(data["pred"], "as_tensor") else data["pred"]
        scan = EmbeddedScan(embedding, (depth, height, width), plain(image.affine, torch.float64))
        matches = [match_points(one.scan, torch.stack(list(one.points.values())), scan) for one in self.templates]
        return {**data, "matches": matches}


class FoundPoints:
    """Handler of an evaluator that writes the points of one template that ``FindPointsd`` found.

    - ``<name>_points.<format>``: the points of a scan with their scores, in the scan's own coordinates, for the viewer
      in which the template's points were placed;
    - ``points.csv``: all points of all scans, including those with low scores.

    Points with a score below ``min_score`` are left out of the scan's file, which is logged. If no point of a scan
    reaches the score, the scan gets no file.

    Args:
        output_dir: Output folder; made when needed.
        template: Template to report.
        format: ``mrk.json`` (3D Slicer), ``csv`` or ``json``; None: that of the file ``points``, else ``mrk.json``.
        points: File of the template's points, whose format is used.
        coordinates: ``world`` (mm, RAS+) or ``voxel`` (of each scan's file).
        min_score: Lowest score to keep, in [-1, 1]; -1 keeps every point.

    Raises:
        ValueError: another format, or one that has no voxels; a score outside of its range.
    """

    def __init__(
        self,
        output_dir: str | Path,
        template: Template,
        *,
        format: str | None = None,
        points: str | Path | None = None,
        coordinates: str = "world",
        min_score: float = MIN_SCORE,
    ) -> None:
        if format is None:
            taken = next((known for known in FORMATS if str(points or "").lower().endswith(f".{known}")), None)
            format = taken or ("mrk.json" if coordinates == "world" else "csv")
        if format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}.")
        if coordinates not in AXES:
            raise ValueError(f"coordinates must be one of {', '.join(AXES)}, got {coordinates!r}.")
        if format == "mrk.json" and coordinates == "voxel":
            raise ValueError("3D Slicer's points are in mm. Use --format csv or json for voxels.")
        if not -1 <= min_score <= 1:
            raise ValueError(f"min_score must lie in [-1, 1], got {min_score}.")
        self.output_dir, self.template, self.format = Path(output_dir), template, format
        self.coordinates, self.min_score = coordinates, min_score
        self.rows: list[dict[str, Any]] = []

    def attach(self, evaluator: Evaluator) -> None:
        """Write points after each batch, and the table at the end."""
        evaluator.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        evaluator.add_event_handler(Events.COMPLETED, self._write_table)

    def _collect(self, evaluator: Evaluator) -> None:
        for batch, output in zip(evaluator.state.batch, evaluator.state.output, strict=True):
            if output["matches"]:
                self._write({**batch, **output}, output["matches"][0])

    def _write(self, item: Mapping[str, Any], matches: Matches) -> None:
        name, places = str(item["name"]), matches.points.T  # (3, N)
        if self.coordinates == "voxel":
            places = apply_affine(torch.linalg.inv(original_affine(item["image"])), places)
        found = dict(zip(self.template.points, places.T.tolist(), strict=True))
        scores = dict(zip(self.template.points, matches.scores.tolist(), strict=True))
        kept = {point: place for point, place in found.items() if scores[point] >= self.min_score}
        for point, place in found.items():
            axes = dict(zip(AXES[self.coordinates], (round(value, 3) for value in place), strict=True))
            row = {"scan": name, "name": point, **axes, "score": round(scores[point], 4)}
            self.rows.append({**row, "kept": "yes" if point in kept else "no"})
        if not kept:
            logger.warning(
                f"{name}: no point reaches the score {self.min_score:g}, the best has {max(scores.values()):.3f}: no "
                f"file is written, {TABLE} has them all. Lower --min_score."
            )
            return
        self.output_dir.mkdir(parents=True, exist_ok=True)
        file = self.output_dir / f"{name.replace('/', '_')}_points.{self.format}"
        rounded = {point: [round(value, 3) for value in place] for point, place in kept.items()}
        write_points(file, rounded, {point: round(scores[point], 4) for point in kept}, self.coordinates)
        left = [point for point in found if point not in kept]
        text = f"; below the score {self.min_score:g} and left out: {', '.join(left)}" if left else ""
        median = torch.tensor(list(scores.values())).median().item()
        logger.info(f"{name}: {len(kept)} points kept, median score {median:.3f}{text}.")

    def _write_table(self, evaluator: Evaluator) -> None:
        if not self.rows:
            logger.warning("No point was found in any scan: nothing is written.")
            return
        write_table(self.output_dir / TABLE, self.rows, list(self.rows[0]))
