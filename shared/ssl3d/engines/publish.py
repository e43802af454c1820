"""The end of a training run: the chosen weights, with their passport, at the place where the bundle looks for them."""

import json
import logging
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from monai.engines import Trainer
from torch import nn

from .. import weights
from ..data import DrawDataset
from ..data.content import replacing
from ..data.readable_json import readable_json
from ..version import __version__
from . import checkpoints
from .facts import preprocessing
from .start import is_synthetic

logger = logging.getLogger(__name__)


class Publish:
    """Handler of a trainer that ends the run with ``model.pt`` and its passport ``model.json``.

    A run on synthetic items writes them into ``run_dir`` and leaves the bundle's weights alone. Any other replaces
    those in ``model_dir`` and keeps the former ones in ``run_dir/previous``; the passport is also copied into the
    bundle's ``configs/metadata.json`` when ``model_dir`` is the bundle's own.

    Args:
        run_dir: folder of the run with its checkpoint; see ``run_folder``.
        model_dir: folder of the bundle's weights.
        network: the network in training, with a child ``backbone``.
        dataset: its training data; the transforms tell orientation, spacing, intensity and crop.
        method: how the weights are learned.

    Raises:
        ValueError: the transforms leave one of these open; said at the start, not after the training.
    """

    def __init__(
        self,
        run_dir: str | Path,
        model_dir: str | Path,
        network: nn.Module,
        dataset: DrawDataset,
        method: str = "supervised",
    ) -> None:
        self.run_dir = Path(run_dir)
        self.synthetic = is_synthetic(dataset.data)
        self.folder = self.run_dir if self.synthetic else Path(model_dir)
        self.network = checkpoints.unwrapped(network)
        self.dataset = dataset
        self.method = method
        self.facts = preprocessing(dataset.transform)
        missing = {"orientation", "spacing", "intensity", "roi_size"} - set(self.facts)
        if missing:
            raise ValueError(
                f"The preprocessing does not fix {', '.join(sorted(missing))}, which the weights' passport must tell. "
                "Use Orientationd, Spacingd, RandSpatialCropd, and one of ScaleIntensityRangePercentilesd, "
                "ScaleIntensityRanged and NormalizeIntensityd."
            )

    def attach(self, trainer: Trainer) -> None:
        """Write when the run is complete, on the first process."""
        if trainer.state.rank == 0:
            trainer.add_event_handler(Events.COMPLETED, self)

    def __call__(self, trainer: Trainer) -> None:
        """Write the pair; the weights are those that the checkpoint holds as the best."""
        checkpoint = torch.load(self.run_dir / checkpoints.FILE, map_location="cpu", weights_only=True)
        validated = checkpoint["best"] is not None
        passport = self._passport(trainer, checkpoint["best_metric"] if validated else None)
        path = self.folder / "model.pt"
        keep = None if self.synthetic else self.run_dir / "previous"
        passport = weights.save(checkpoint["best"] or checkpoint["network"], path, passport, keep=keep)
        metadata = self.folder.parent / "configs" / "metadata.json"
        if self.folder.name == "models" and metadata.is_file():
            content = json.loads(metadata.read_text(encoding="utf-8"))
            content["passports"] = content.get("passports", {}) | {path.name: asdict(passport)}
            with replacing(metadata) as temporary:
                temporary.write_text(readable_json(content), encoding="utf-8")
        chosen = (
            f"best of epoch {checkpoint['best_metric_epoch']}" if validated else "last epoch, nothing was validated"
        )
        logger.info(f"Weights ({chosen}): {path.absolute()}, with their passport beside them.")

    def _passport(self, trainer: Trainer, best_metric: float | None) -> weights.Passport:
        corpus = getattr(self.dataset.data, "corpus", None) or [
            {"name": "unknown", "count": len(self.dataset.data), "licence": "unknown"}
        ]
        results = []
        if best_metric is not None:
            results = [{"metric": "best validation value", "value": best_metric, "command": _command()}]
        backbone: Any = self.network.backbone
        return weights.Passport(
            method=self.method,
            backbone=type(backbone).__name__,
            backbone_arguments=backbone.arguments,
            part="network",
            network=type(self.network).__name__,
            corpus=corpus,
            synthetic=self.synthetic,
            **self.facts,
            steps=trainer.state.iteration,
            seed=self.dataset.seed,
            ssl3d_version=__version__,
            licence="the terms of the training data: " + ", ".join(dict.fromkeys(e["licence"] for e in corpus)),
            results=results,
        )


def _command() -> str:
    """The command line of this process, with the folder of real data under its variable's name."""
    command = shlex.join(["python", "-m", "monai.bundle", *sys.argv[1:]])
    data = os.environ.get("SSL3D_DATA")
    return command.replace(data, "$SSL3D_DATA") if data else command
