"""Report a registration: one row per pair and method, their means, and a picture of the median pair."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.engines import Evaluator
from monai.engines.utils import IterationEvents

from ...files.atomic import replacing, write_table
from ..statistics import estimate
from .ants_baseline import TRANSFORMS, ants_flow, check_ants
from .grids import WarpOntoFixedd
from .picture import Slice, cut, draw
from .scores import Scores, score

logger = logging.getLogger(__name__)

METHOD = "GVSL"
MEASURES = {
    "dice_before": "Dice before",
    "dice_after": "Dice after (95 % interval)",
    "tre_before_mm": "TRE before, mm",
    "tre_after_mm": "TRE after, mm",
    "folding_percent": "folding, %",
    "seconds": "seconds per pair",
}


class RegistrationReport:
    """Handler of an evaluator that writes ``registration.csv``, ``registration.md`` and ``median_pair.png``.

    The post-processing must end with ``WarpOntoFixedd`` and ``ScoreRegistrationd``, and batches must hold one pair. The
    time of the network runs from the loaded batch to its output.

    Args:
        directory: Folder of the files; made when needed.
        ants: Whether to register the same prepared pairs with ANTs too (affine and SyN, default settings, one thread).

    Raises:
        ModuleNotFoundError: ``ants`` without antspyx.
    """

    def __init__(self, directory: str | Path, ants: bool = False) -> None:
        if ants:
            check_ants()
        self.directory = Path(directory)
        self.methods = dict(TRANSFORMS) if ants else {}
        self.rows: list[dict[str, Any]] = []
        self.pictures: list[tuple[Scores, str, list[Slice]]] = []
        self.synthetic = False

    def attach(self, evaluator: Evaluator) -> None:
        """Measure each pair, and write the report when the evaluation is complete."""
        evaluator.add_event_handler(Events.STARTED, self._start)
        evaluator.add_event_handler(Events.ITERATION_STARTED, self._start_clock)
        evaluator.add_event_handler(IterationEvents.FORWARD_COMPLETED, self._stop_clock)
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        evaluator.add_event_handler(Events.COMPLETED, self._write)

    def _start(self, evaluator: Evaluator) -> None:
        self.rows.clear()
        self.pictures.clear()

    def _start_clock(self, evaluator: Evaluator) -> None:
        self.began = time.perf_counter()

    def _stop_clock(self, evaluator: Evaluator) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self.began

    def _collect(self, evaluator: Evaluator) -> None:
        (batch,), (output,) = evaluator.state.batch, evaluator.state.output
        item = {**batch, **output}
        self.synthetic |= bool(item.get("synthetic", False))
        self._add(item["name"], METHOD, item["scores"], self.seconds)
        self.pictures.append((item["scores"], item["name"], cut(item)))
        spacing = torch.linalg.vector_norm(item["fixed"].affine[:3, :3], dim=0)
        for method, transform in self.methods.items():
            flow, seconds = ants_flow(item["image"].as_tensor(), spacing, transform)
            self._add(item["name"], method, score(WarpOntoFixedd()(item | {"pred": flow})), seconds)

    def _add(self, pair: str, method: str, scores: Scores, seconds: float) -> None:
        self.rows.append(
            {
                "pair": pair,
                "method": method,
                "dice_before": scores.dice_before,
                "dice_after": scores.dice_after,
                "tre_before_mm": scores.tre_before,
                "tre_after_mm": scores.tre_after,
                "targets": scores.targets,
                "folding_percent": scores.folding,
                "seconds": seconds,
            }
        )

    def _write(self, evaluator: Evaluator) -> None:
        write_table(self.directory / "registration.csv", self.rows, list(self.rows[0]))
        table = self._table(str(evaluator.state.device))
        with replacing(self.directory / "registration.md") as temporary:
            temporary.write_text(table, encoding="utf-8")
        logger.info(f"\n{table}")
        ordered = sorted(self.pictures, key=lambda pair: np.nan_to_num(pair[0].dice_after))
        scores, name, slices = ordered[(len(ordered) - 1) // 2]
        draw(self.directory / "median_pair.png", slices, scores, f"median pair {name}", self.synthetic)

    def _table(self, device: str) -> str:
        methods = list(dict.fromkeys(row["method"] for row in self.rows))
        targets = sorted({row["targets"] for row in self.rows} - {""})
        lines = ["Mechanics only: synthetic anatomy.", ""] if self.synthetic else []
        lines += [f"| method | pairs | {' | '.join(MEASURES.values())} |", "|---" * (2 + len(MEASURES)) + "|"]
        for method in methods:
            rows = [row for row in self.rows if row["method"] == method]
            cells = [_mean([row[measure] for row in rows], measure) for measure in MEASURES]
            lines.append(f"| {method} | {len(rows)} | {' | '.join(cells)} |")
        lines += [
            "",
            "Dice: mean over the labels that both scans have, on the fixed scan's grid. Its interval is a bootstrap "
            "over pairs; pairs share scans, which makes it somewhat too narrow.",
            f"TRE: mean distance between targets ({', '.join(targets) or 'none'}). Folding: voxels with a Jacobian "
            "determinant of at most 0.",
            f"Seconds: median over pairs, without loading; {METHOD} on {device}, {torch.get_num_threads()} thread(s) "
            f"of the CPU{'; ANTs on one thread' if self.methods else ''}.",
        ]
        return "\n".join(lines) + "\n"


def _mean(values: Sequence[float], measure: str) -> str:
    finite = np.array([value for value in values if np.isfinite(value)])
    if not len(finite):
        return "-"
    if measure == "seconds":
        return f"{np.median(finite):.2f}"
    if measure == "dice_after" and len(finite) > 1:
        found = estimate(finite[None])
        return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"
    return f"{finite.mean():.3f}" if measure.startswith("dice") else f"{finite.mean():.2f}"
