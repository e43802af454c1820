"""Measure whether equal body parts of different people have similar features: retrieval across patients."""

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from ignite.engine import Events
from monai.engines import Evaluator
from torch import Tensor, nn

from ...data.matched_pairs import crop
from ...files.atomic import replacing, write_table
from ...geometry.world import apply_affine
from ..farthest import farthest
from ..plain import plain
from ..point_files import read_points

logger = logging.getLogger(__name__)

PARTS = 24  # landmarks to use per scan, chosen far from one another
POOLED = 6  # cells along each axis of the comparison with plain intensities


class Retrieval(NamedTuple):
    """Result of a search for the crop of the same body part in other people.

    Attributes:
        first: Share of queries whose most similar crop of another person shows the same part.
        rank: Mean rank of the right crop, from 1.
        chance: Value of ``first`` for random guesses.
        queries: Number of queries.
    """

    first: float
    rank: float
    chance: float
    queries: int


def retrieval(vectors: Mapping[str, Mapping[str, Tensor]]) -> Retrieval:
    """Look for each crop among all crops of each other person that has the same part.

    Args:
        vectors: Person -> part -> unit-norm vector (C,).

    Raises:
        ValueError: no two persons share a part.
    """
    ranks, chances = [], []
    for person, parts in vectors.items():
        for other, theirs in vectors.items():
            if person == other:
                continue
            names = list(theirs)
            gallery = torch.stack([theirs[name] for name in names])  # (N, C)
            for part, vector in parts.items():
                if part in theirs:
                    similarity = gallery @ vector
                    ranks.append(1 + int((similarity > similarity[names.index(part)]).sum()))
                    chances.append(1 / len(names))
    if not ranks:
        raise ValueError("No two scans share a landmark. Use the same names for the same places in all scans.")
    return Retrieval(
        float(np.mean([rank == 1 for rank in ranks])), float(np.mean(ranks)), float(np.mean(chances)), len(ranks)
    )


class RetrievalReport:
    """Handler of an evaluator that writes ``retrieval.csv`` and ``retrieval.md`` when the evaluation is complete.

    Crops of ``roi_size`` around landmarks are described by the mean of the backbone's coarsest map, minus the mean over
    all crops. Baselines are the same backbone with random weights, and the crops' intensities averaged over coarse
    cells. The landmarks are chosen from the first scan, far from one another. Without landmarks nothing is written,
    which is logged.

    Args:
        directory: Folder of the files; made when needed.
        network: Method on its device, whose ``student`` has the ``backbone``.
        data: Scans, with or without ``landmarks``.
        preprocessing: Function from an item to its prepared ``image``, a ``MetaTensor``.
        roi_size: (D, H, W) in voxels.
    """

    def __init__(
        self,
        directory: str | Path,
        network: Any,
        data: Sequence[Mapping[str, Any]],
        preprocessing: Callable[[dict[str, Any]], dict[str, Any]],
        roi_size: Sequence[int],
    ) -> None:
        self.directory, self.data, self.roi_size = Path(directory), data, tuple(roi_size)
        self.preprocessing = preprocessing
        self.describe: dict[str, Callable[[Tensor], Tensor]] = {
            "pre-trained": _pooled(network.student.backbone),
            "random weights": _pooled(with_random_weights(network.student.backbone)),
            "intensities": lambda crops: F.adaptive_avg_pool3d(crops, POOLED).flatten(1),
        }

    def attach(self, evaluator: Evaluator) -> None:
        """Measure when the evaluation is complete."""
        evaluator.add_event_handler(Events.COMPLETED, self)

    def __call__(self, evaluator: Evaluator) -> None:
        """Crop, describe, search, and write the tables."""
        items = [item for item in self.data if "landmarks" in item]
        if len(items) < 2:
            logger.warning("Retrieval needs two scans with landmarks, there are %d: it is not measured.", len(items))
            return
        points = {str(item["name"]): read_points(item["landmarks"]) for item in items}
        parts = farthest(next(iter(points.values())), PARTS)
        crops = {str(item["name"]): self._crops(item, points[str(item["name"])], parts) for item in items}
        rows = []
        for method, describe in self.describe.items():
            vectors = {
                name: {part: describe(one[None])[0] for part, one in of.items()} for name, of in crops.items() if of
            }
            rows.append({"features": method, **retrieval(_unit(vectors))._asdict()})
        write_table(self.directory / "retrieval.csv", rows, list(rows[0]))
        lines = ["Mechanics only: synthetic anatomy.", ""] if any(item.get("synthetic") for item in items) else []
        lines += ["| features | same part first | mean rank | by chance first | queries |", "|---|---|---|---|---|"]
        for row in rows:
            lines.append(
                f"| {row['features']} | {100 * row['first']:.0f} % | {row['rank']:.1f} | {100 * row['chance']:.0f} % | "
                f"{row['queries']} |"
            )
        table = "\n".join(lines) + "\n"
        with replacing(self.directory / "retrieval.md") as temporary:
            temporary.write_text(table, encoding="utf-8")
        logger.info(f"\n{table}")

    def _crops(
        self, item: Mapping[str, Any], points: Mapping[str, Sequence[float]], parts: Sequence[str]
    ) -> dict[str, Tensor]:
        image = self.preprocessing({key: item[key] for key in ("image", "name")})["image"]
        to_voxel, volume = torch.linalg.inv(plain(image.affine, torch.float64)), plain(image, torch.float32)
        crops = {}
        for part in (name for name in parts if name in points):
            place = apply_affine(to_voxel, torch.tensor(points[part]).double()[:, None])[:, 0]
            crops[part] = crop(volume, place.tolist(), self.roi_size)
        return crops


def with_random_weights(network: nn.Module) -> nn.Module:
    """Copy a network and reset its layers from a fixed seed, without touching the global generator."""
    copy = deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for module in copy.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()  # type: ignore[operator]
    return copy


def _pooled(backbone: nn.Module) -> Callable[[Tensor], Tensor]:
    device = next(backbone.parameters()).device

    @torch.no_grad()
    def describe(crops: Tensor) -> Tensor:
        return backbone(crops.to(device)).encoder[-1].mean(dim=(2, 3, 4)).float().cpu()

    return describe


def _unit(vectors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """Subtract the mean of all vectors and scale each to unit norm."""
    mean = torch.stack([vector for parts in vectors.values() for vector in parts.values()]).mean(dim=0)
    return {
        person: {part: F.normalize(vector - mean, dim=0) for part, vector in parts.items()}
        for person, parts in vectors.items()
    }
