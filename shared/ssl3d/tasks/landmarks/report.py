"""Report a search for landmarks: errors in mm, compared with baselines that learn nothing."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Evaluator
from monai.transforms import Transform
from torch import Tensor, nn

from ...files.atomic import replacing, write_table
from ...geometry.world import apply_affine
from ..drawing import SYNTHETIC, save
from ..palette import curve_colour
from ..plain import plain
from ..point_files import read_points
from ..statistics import estimate
from .baselines import body_box, box_map, register_affine
from .templates import Template, inside, make_template

logger = logging.getLogger(__name__)

EMBEDDING, BOX, AFFINE = "embedding", "position in the body's box", "affine registration"
CLOSE = 10.0  # mm


def case_templates(
    data: Sequence[Mapping[str, Any]],
    count: int,
    *,
    preprocessing: Callable[[dict[str, Any]], dict[str, Any]],
    network: nn.Module,
) -> list[Template]:
    """Make templates of the first ``count`` cases with landmarks, see ``given_template``; leave out points outside.

    Raises:
        ValueError: ``count`` below 1, or no case with landmarks.
    """
    if count < 1:
        raise ValueError(f"templates must be at least 1, got {count}.")
    items = [item for item in data if "landmarks" in item][:count]
    if not items:
        raise ValueError(_missing(data[0]["name"], "for a template"))
    return [make_template(item, item["landmarks"], "world", preprocessing, network, skip_bad=True) for item in items]


class ScoreLandmarksd(Transform):
    """Measure the error of each landmark of the templates in a scan, after ``FindPointsd``.

    Each landmark of a template that lies in the scan is searched by the embedding, by its relative position in the
    bounding box of the body, and by an affine registration of the two scans. A template is not searched in itself. The
    transform adds ``landmark_rows``, dictionaries for ``LandmarkReport``, and ``landmark_error``, the mean error of the
    embedding in mm (nan without landmarks).

    Args:
        templates: Templates of ``FindPointsd``.
        data: Scans, each with ``landmarks``, see ``read_points``.

    Raises:
        ValueError: a scan without landmarks; the message names it.
    """

    def __init__(self, templates: Sequence[Template], data: Sequence[Mapping[str, Any]]) -> None:
        for item in data:
            if "landmarks" not in item:
                raise ValueError(_missing(item["name"], "to measure an error"))
        self.templates = list(templates)

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``data`` with ``landmark_rows`` and ``landmark_error`` added."""
        rows = self._rows(data)
        errors = [row["error_mm"] for row in rows if row["method"] == EMBEDDING]
        return {**data, "landmark_rows": rows, "landmark_error": float(np.mean(errors)) if errors else float("nan")}

    def _rows(self, item: Mapping[str, Any]) -> list[dict[str, Any]]:
        image, name, rows = item["image"], str(item["name"]), []
        volume, affine = plain(image, torch.float32), plain(image.affine, torch.float64)
        box = body_box(volume, affine)
        truth = {key: torch.tensor(place).double() for key, place in read_points(item["landmarks"]).items()}
        for template, matches in zip(self.templates, item["matches"], strict=False):  # none in a scan that was left out
            names = [key for key in template.points if key in truth and inside(image, truth[key][:, None]).item()]
            if template.name == name or not names:
                continue
            order = list(template.points)
            own = torch.stack([template.points[key] for key in names], dim=1)  # (3, N)
            there = torch.stack([truth[key] for key in names], dim=1)
            chosen = [order.index(key) for key in names]
            known, frame = plain(template.image, torch.float32), plain(template.image.affine, torch.float64)
            start = box_map(body_box(known, frame), box)
            found: dict[str, Tensor] = {
                EMBEDDING: matches.points[chosen].T,
                BOX: apply_affine(start, own),
                AFFINE: apply_affine(register_affine(known, frame, volume, affine, start), own),
            }
            for method, points in found.items():
                errors = (points - there).norm(dim=0).tolist()
                for key, index, error in zip(names, chosen, errors, strict=True):
                    score = round(matches.scores[index].item(), 4) if method == EMBEDDING else ""
                    row = {"template": template.name, "scan": name, "landmark": key, "method": method}
                    rows.append({**row, "error_mm": round(error, 3), "score": score})
        return rows


class LandmarkReport:
    """Handler of an evaluator that writes ``landmarks.csv``, ``landmarks.md`` and ``landmarks.png``.

    The postprocessing must end with ``ScoreLandmarksd``.

    Args:
        directory: Folder of the files; made when needed.
        templates: Templates that were searched for.
    """

    def __init__(self, directory: str | Path, templates: Sequence[Template]) -> None:
        self.directory, self.templates = Path(directory), list(templates)
        self.rows: list[dict[str, Any]] = []
        self.synthetic = any(template.synthetic for template in templates)

    def attach(self, evaluator: Evaluator) -> None:
        """Collect errors of each scan, and write the report when the evaluation is complete."""
        evaluator.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        evaluator.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, evaluator: Evaluator) -> None:
        for output in evaluator.state.output:
            self.rows += output["landmark_rows"]

    def _write(self, evaluator: Evaluator) -> None:
        if not self.rows:
            raise ValueError(
                "No landmark of a template lies in another scan of this section. Use the same names in all scans, and "
                "list at least one scan beside the template."
            )
        write_table(self.directory / "landmarks.csv", self.rows, list(self.rows[0]))
        table = self._table()
        with replacing(self.directory / "landmarks.md") as temporary:
            temporary.write_text(table, encoding="utf-8")
        logger.info(f"\n{table}")
        self._draw(self.directory / "landmarks.png")

    def _errors(self, method: str) -> np.ndarray:
        return np.array([row["error_mm"] for row in self.rows if row["method"] == method])

    def _by_scan(self, method: str) -> np.ndarray:
        """Return the mean error of each scan, sorted by name."""
        scans: dict[str, list[float]] = {}
        for row in self.rows:
            if row["method"] == method:
                scans.setdefault(row["scan"], []).append(row["error_mm"])
        return np.array([np.mean(scans[name]) for name in sorted(scans)])

    def _table(self) -> str:
        scans = {row["scan"] for row in self.rows}
        lines = ["Mechanics only: synthetic anatomy.", ""] if self.synthetic else []
        lines += [
            f"| method | mean, mm | median, mm | 95th percentile, mm | within {CLOSE:g} mm | "
            "more than the embedding, mm (95 % interval) |",
            "|---|---|---|---|---|---|",
        ]
        for method in (EMBEDDING, BOX, AFFINE):
            errors = self._errors(method)
            more = "" if method == EMBEDDING else _difference(self._by_scan(method) - self._by_scan(EMBEDDING))
            lines.append(
                f"| {method} | {errors.mean():.1f} | {np.median(errors):.1f} | {np.percentile(errors, 95):.1f} | "
                f"{100 * (errors <= CLOSE).mean():.0f} % | {more} |"
            )
        lines += [
            "",
            f"{len(self._errors(EMBEDDING))} landmarks: of {len(self.templates)} template(s), in {len(scans)} scan(s). "
            "The last column: difference of the scans' mean errors, with a bootstrap over scans.",
        ]
        return "\n".join(lines) + "\n"

    def _draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for number, method in enumerate((EMBEDDING, BOX, AFFINE)):
            errors = np.sort(self._errors(method))
            share = 100 * np.arange(1, len(errors) + 1) / len(errors)
            axes.step(errors, share, color=curve_colour(number), label=method)
        axes.axvline(CLOSE, color="black", linewidth=0.6, linestyle="dotted")
        title = SYNTHETIC if self.synthetic else f"{len(self._errors(EMBEDDING))} landmarks"
        axes.set(xlabel="error, mm", ylabel="landmarks with this error or less, %", title=title, xlim=(0, None))
        axes.legend(fontsize=8)
        save(figure, path)


def _difference(values: np.ndarray) -> str:
    if len(values) < 2:
        return f"{values.mean():.1f}"
    found = estimate(values[None])
    return f"{found.mean:.1f} ({found.low:.1f} to {found.high:.1f})"


def _missing(name: str, why: str) -> str:
    return (
        f"{name} has no landmarks {why}. Give each case a file of named points under 'landmarks', beside its 'image' "
        "in dataset.json."
    )
