"""Report how well tokens find their partners and separate structures, compared with baselines."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from ignite.engine import Events
from monai.engines import Evaluator
from monai.utils import CommonKeys
from torch import Tensor, nn

from ... import weights
from ...files.atomic import replacing, write_table
from ...losses.token_pairs import token_pairs
from ...methods.s2dc import S2DC
from ...methods.token_monitors import matching_accuracy
from ...networks.tokens import unit_norm
from ...transforms import join_crops, split_crops
from ..statistics import estimate
from .structure_map import structure_map

logger = logging.getLogger(__name__)

MEASURES = {"accuracy": "matching accuracy", "purity": "purity"}
CHANCE, INTENSITY, POSITION, ONE = "chance", "mean intensity of a cell", "position of a cell", "one structure for all"


class TokenReport:
    """Handler of an evaluator that writes ``tokens.csv`` (one row per volume and method) and ``tokens.md`` (means).

    Methods are the tokens of the teacher, the encoder map from which the tokens are made, and the same map of an
    untrained network and of the ``baselines``. Each sees the views of the evaluator: the crops of a volume, and of its
    warped copy.

    Matching accuracy is the share of tokens whose most similar token in the copy is their true partner, among the
    tokens that have a partner. If the volumes have a ``label``, the purity of their ``structure_map`` is reported too,
    see :func:`purity`. Its baselines are structures made of the cells' intensities, structures made of the cells'
    positions, and one structure for all.

    Args:
        directory: Folder of the files; made when needed.
        network: Method with its weights.
        baselines: Name of a row -> weights, see ``ssl3d.weights.resolve``; missing weights are left out, which is
            logged.
        bundle_root: Folder of the bundle; other bundles are searched beside it.
        structures: Number of structures of a map.
        seed: Seed of the untrained network.
    """

    def __init__(
        self,
        directory: str | Path,
        network: S2DC,
        baselines: Mapping[str, str] | None = None,
        bundle_root: str | Path = ".",
        structures: int = 8,
        seed: int = 0,
    ) -> None:
        self.directory = Path(directory)
        self.crops = network.crops
        self.structures = structures
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}  # by volume and method
        self.synthetic = False
        teacher = network.teacher
        backbones: dict[str, nn.Module] = {"S2DC": teacher.backbone, "untrained": _like(teacher.backbone, seed)}
        for name, given in (baselines or {}).items():
            try:
                file = weights.resolve(given, bundle_root)
            except FileNotFoundError as error:
                logger.info(f"{name} is left out of the comparison. {error}")
                continue
            if file is not None:
                backbones[name] = _like(teacher.backbone, seed)
                weights.load(backbones[name], file, part="encoder")
        self.methods: dict[str, Callable[[Tensor], Tensor]] = {"S2DC, tokens": teacher}
        for name, backbone in backbones.items():
            self.methods[f"{name}, encoder map"] = _EncoderMap(backbone, teacher.level)

    def attach(self, evaluator: Evaluator) -> None:
        """Measure each batch, and write the report when the evaluation is complete."""
        evaluator.add_event_handler(Events.STARTED, lambda _: self.rows.clear())
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        evaluator.add_event_handler(Events.COMPLETED, self._write)

    @torch.no_grad()
    def _collect(self, evaluator: Evaluator) -> None:
        batch, views = evaluator.state.batch, evaluator.state.output[CommonKeys.IMAGE]
        self.synthetic |= bool(torch.as_tensor(batch.get("synthetic", False)).any())
        truth, masks = views["correspondence"], (views["image_valid"], views["warped_valid"])
        maps: dict[str, Tensor] = {}
        measured = {}
        for name, method in self.methods.items():
            maps[name], key = (
                join_crops(method(split_crops(views[view], self.crops)), self.crops) for view in ("image", "warped")
            )
            tokens = [grid.flatten(2).transpose(1, 2) for grid in (maps[name], key)]  # (B, N, E)
            measured[name] = [
                matching_accuracy(token_pairs(*(given[i : i + 1] for given in (*tokens, truth, *masks))))
                for i in range(len(truth))
            ]
        for item, volume in enumerate(batch["name"]):
            chance = measured["S2DC, tokens"][item][1].item()
            if chance > 0:  # otherwise no token has a partner
                self._add(volume, CHANCE, accuracy=chance)
                for name, values in measured.items():
                    self._add(volume, name, accuracy=values[item][0].item())
            if CommonKeys.LABEL in batch:
                label, valid = (torch.as_tensor(batch[key])[item, 0].cpu() for key in (CommonKeys.LABEL, "valid"))
                grids = {name: grid[item].cpu() for name, grid in maps.items()}
                self._add_purity(volume, views["image"][item].cpu(), grids, label.long(), valid > 0)

    def _add_purity(self, volume: str, image: Tensor, grids: dict[str, Tensor], label: Tensor, valid: Tensor) -> None:
        size = next(iter(grids.values())).shape[1:]
        depth, height, width = (length // count for length, count in zip(label.shape, size, strict=True))
        for name, grid in {**grids, INTENSITY: _cell_means(image, size), POSITION: _positions(size)}.items():
            structures = structure_map(grid, (depth, height, width), self.structures, average=name in grids)[0]
            self._add(volume, name, purity=purity(structures[valid], label[valid]))
        self._add(volume, ONE, purity=purity(torch.ones_like(label[valid]), label[valid]))

    def _add(self, volume: str, method: str, **values: float) -> None:
        self.rows.setdefault((volume, method), {"volume": volume, "method": method}).update(values)

    def _write(self, evaluator: Evaluator) -> None:
        write_table(self.directory / "tokens.csv", self.rows.values(), ["volume", "method", *MEASURES])
        table = self._table()
        with replacing(self.directory / "tokens.md") as temporary:
            temporary.write_text(table, encoding="utf-8")
        logger.info(f"\n{table}")

    def _table(self) -> str:
        lines = ["Mechanics only: synthetic anatomy.", ""] if self.synthetic else []
        names = list(dict.fromkeys(method for _, method in self.rows))
        lines += [f"| method | {' | '.join(MEASURES.values())} |", "|---" * (1 + len(MEASURES)) + "|"]
        for name in names:
            cells = [
                _mean([row[m] for (_, method), row in self.rows.items() if method == name and m in row])
                for m in MEASURES
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        count = len({volume for volume, _ in self.rows})
        return "\n".join([*lines, "", f"Mean over {count} volumes (95 % interval: bootstrap over the volumes).", ""])


class _EncoderMap(nn.Module):
    """Encoder map of a backbone, with vectors of unit length."""

    def __init__(self, backbone: nn.Module, level: int) -> None:
        super().__init__()
        self.backbone = backbone.eval()
        self.level = level

    def forward(self, x: Tensor) -> Tensor:
        return unit_norm(self.backbone.encode(x)[self.level].movedim(1, -1)).movedim(-1, 1)  # type: ignore[operator]


def purity(structures: Tensor, label: Tensor) -> float:
    """Measure how well structures separate labels, with equal weight for all labels whatever their size; 1 is perfect.

    The weight of a voxel is 1 / (number of voxels of its label). The purity is the share of the total weight in the
    label with the largest weight of each structure. One structure for all K labels has 1 / K. (Without weights, a scan
    with much background and small organs would be nearly pure for any structures.)

    Args:
        structures: (n,), structure of each voxel, whole numbers from 0.
        label: (n,), label of each voxel, whole numbers from 0.
    """
    table = torch.zeros(int(structures.max()) + 1, int(label.max()) + 1, dtype=torch.float64)
    table.index_put_((structures.long(), label), torch.ones(len(label), dtype=table.dtype), accumulate=True)
    size = table.sum(dim=0)
    return ((table / size.clamp(min=1)).amax(dim=1).sum() / (size > 0).sum()).item()


def _like(backbone: nn.Module, seed: int) -> nn.Module:
    """Return a network of the same kind with random weights, on the same device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = type(backbone)(**backbone.arguments)  # type: ignore[arg-type]
    return fresh.to(next(backbone.parameters()).device)


def _cell_means(image: Tensor, size: torch.Size) -> Tensor:
    """Return the mean intensities (C, d, h, w) of the cells of an image (C, D, H, W)."""
    return F.adaptive_avg_pool3d(image, list(size))  # type: ignore[arg-type]


def _positions(size: torch.Size) -> Tensor:
    """Return the coordinates (3, d, h, w) of the cells of a grid."""
    return torch.stack(torch.meshgrid(*(torch.arange(float(count)) for count in size), indexing="ij"))


def _mean(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "-"
    found = estimate(np.array(values)[None])
    return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"
