"""Write the chosen weights of a training run with their passport, and publish them in the bundle on request."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from ignite.engine import Events
from monai.engines import Trainer
from torch import nn

from .. import weights
from ..data import DrawDataset
from ..data.sources import UNNAMED
from ..files.atomic import replacing
from ..files.readable_json import readable_json
from ..version import __version__
from ..weights.facts import preprocessing
from . import checkpoints
from .class_channels import describe_classes
from .command_line import public_command
from .flag import flag
from .network_parts import backbone_of, method_of, unwrapped
from .start import is_synthetic
from .writable import check_writable

logger = logging.getLogger(__name__)

TERMS = "the terms of the training data: "


class Publish:
    """End a run with ``model.pt`` and its passport ``model.json`` in the run's folder.

    If the network is a method, ``model.pt`` holds one branch, the student or its teacher, without the modules that the
    branch names as ``training_only``. ``pretraining.pth`` then holds the whole method, heads included, and has a
    passport too.

    With ``publish`` the same files also replace those in ``model_dir``, the bundle's weights, unless the run was on
    synthetic items. The former files are kept in ``run_dir/previous``, and the passports are copied into the bundle's
    ``configs/metadata.json``.

    Args:
        run_dir: Folder of the run with its checkpoint; see ``run_folder``.
        model_dir: Folder of the bundle's weights.
        network: Network in training: a method, or a task network.
        dataset: Training data, whose transforms define orientation, spacing, intensity and crop.
        pretrained, bundle_root: Weights that the run started from, see ``start_network``; the passport takes over their
            corpus and licence.
        method: Name of the way of learning for the passport, such as ``supervised``.
        branch: Network of a method that becomes ``model.pt``: ``student`` or ``teacher``; None: the method's choice.
        roi_size: (D, H, W) of the network's input in voxels; None: the crop of the transforms.
        publish: Whether to replace the bundle's weights. A bool or a word such as ``"true"``.
        label_names: Names of the classes 1, 2 and so on of a segmentation, for the passport.

    Raises:
        ValueError: On construction: a method without that branch; a preprocessing that does not define an entry of the
            passport; a passport that could not be written at the end; a ``model_dir`` that cannot be written.
    """

    def __init__(
        self,
        run_dir: str | Path,
        model_dir: str | Path,
        network: nn.Module,
        dataset: DrawDataset,
        pretrained: str | Path = "none",
        bundle_root: str | Path = ".",
        method: str = "supervised",
        branch: str | None = None,
        roi_size: Sequence[int] | None = None,
        publish: bool | str = False,
        label_names: Sequence[str] = (),
    ) -> None:
        self.run_dir = Path(run_dir)
        self.network = unwrapped(network)
        self.pretraining = method_of(network)
        self.dataset = dataset
        file = weights.resolve(pretrained, bundle_root)
        self.start = None if file is None else weights.passport_of(file)
        self.synthetic = is_synthetic(dataset.data)
        self.model_dir: Path | None = None
        if flag(publish):
            if self.synthetic:
                logger.warning("--publish true: weights trained on synthetic items never replace the bundle's weights.")
            else:
                self.model_dir = Path(model_dir)
                check_writable("model_dir", self.model_dir)
        self.method = method
        self.label_names = list(label_names)
        self.branch = branch or (self.pretraining.published if self.pretraining else None)
        if self.pretraining and self._published() is None:
            raise ValueError(f"branch: {type(self.network).__name__} has no {self.branch}.")
        self.facts = preprocessing(dataset.transform)
        if roi_size is not None:
            self.facts["roi_size"] = [int(side) for side in roi_size]
        missing = {"orientation", "spacing", "intensity", "roi_size"} - set(self.facts)
        if missing:
            raise ValueError(
                f"The preprocessing does not fix {', '.join(sorted(missing))}, which the weights' passport must tell. "
                "Use Orientationd, Spacingd, RandSpatialCropd or RandCropByLabelClassesd, and one of "
                "ScaleIntensityRangePercentilesd, "
                "ScaleIntensityRanged and NormalizeIntensityd."
            )
        for part in filter(None, (self.network, self._published())):
            readable_json(asdict(self._passport(part, 0, None)))  # fail now, not at the end of the run

    def attach(self, trainer: Trainer) -> None:
        """Write the files when the run is complete, on the first process."""
        if trainer.state.rank == 0:
            trainer.add_event_handler(Events.COMPLETED, self)

    def __call__(self, trainer: Trainer) -> None:
        """Write the files with the best weights of the checkpoint."""
        checkpoint = torch.load(self.run_dir / checkpoints.FILE, map_location="cpu", weights_only=True)
        validated = checkpoint["best"] is not None
        state = checkpoint["best"] if validated else checkpoint["network"]
        metric = checkpoint["best_metric"] if validated else None
        epoch = checkpoint["best_metric_epoch"] if validated else trainer.state.epoch
        steps = checkpoint["best_iteration"] if validated else checkpoint["iteration"]
        branch = self._published()
        if self.pretraining is None or branch is None:
            self._save("model.pt", state, self._passport(self.network, steps, metric))
        else:
            self._save("pretraining.pth", state, self._passport(self.network, steps, metric))
            prefix = f"{self.branch}."
            inner = {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
            inner = {name: v for name, v in inner.items() if not name.startswith(self.pretraining.training_only)}
            passport = self._passport(branch, steps, metric)
            self._save("model.pt", inner, replace(passport, network=f"{passport.network}, {self.branch}"))
        chosen = f"best of epoch {epoch}" if validated else "last epoch, nothing was validated"
        logger.info(f"Weights ({chosen}) with their passport: {(self.run_dir / 'model.pt').absolute()}")
        if self.model_dir is not None:
            logger.info(
                f"Published: {self.model_dir.absolute()}; the former weights are in {self.run_dir / 'previous'}."
            )

    def _published(self) -> nn.Module | None:
        return dict(self.network.named_children()).get(self.branch) if self.pretraining and self.branch else None

    def _save(self, name: str, state: dict[str, torch.Tensor], passport: weights.Passport) -> None:
        passport = weights.save(state, self.run_dir / name, passport)
        if self.model_dir is None:
            return
        weights.save(state, self.model_dir / name, passport, keep=self.run_dir / "previous")
        metadata = self.model_dir.parent / "configs" / "metadata.json"
        if self.model_dir.name == "models" and metadata.is_file():
            content = json.loads(metadata.read_text(encoding="utf-8"))
            content["passports"] = content.get("passports", {}) | {name: asdict(passport)}
            describe_classes(content, passport.label_names)
            with replacing(metadata) as temporary:
                temporary.write_text(readable_json(content), encoding="utf-8")

    def _passport(self, network: nn.Module, steps: int, best_metric: float | None) -> weights.Passport:
        corpus = getattr(self.dataset.data, "corpus", None) or [
            {"name": "unknown", "count": len(self.dataset.data), "licence": "unknown"}
        ]
        licences = [entry["licence"] for entry in corpus]
        method = self.method
        if self.start is not None:
            licences += self.start.licence.removeprefix(TERMS).split(", ")
            goes_on = self.start.method.split(",")[0] == method
            corpus = _joined(corpus, self.start.corpus, goes_on)
            method = self.start.method if goes_on else f"{method}, from weights of {self.start.method}"
        results = []
        if best_metric is not None:
            results = [{"metric": "best validation value", "value": best_metric, "command": public_command()}]
        backbone = backbone_of(network)
        return weights.Passport(
            method=method,
            backbone=type(backbone).__name__,
            backbone_arguments=backbone.arguments,
            part="network",
            network=type(network).__name__,
            corpus=corpus,
            synthetic=self.synthetic or (self.start is not None and self.start.synthetic),
            **self.facts,
            steps=steps,
            seed=self.dataset.seed,
            ssl3d_version=__version__,
            licence=TERMS + ", ".join(dict.fromkeys(licences)),
            results=results,
            trained=self.pretraining.trained if self.pretraining else "backbone",
            label_names=self.label_names,
        )


def _joined(own: list[dict], former: list[dict], goes_on: bool) -> list[dict]:
    """Merge lists of data sets. Rounds of annotation train on the same set again, so the largest count is kept.

    Sets without a name count as different sets, unless the same training continues.
    """
    sets: dict[tuple, dict] = {}
    for side, corpus in enumerate((own, former)):
        unnamed: Counter[str] = Counter()
        for entry in corpus:
            key: tuple = (entry["name"], entry["licence"])
            if entry["name"] in (UNNAMED, "unknown"):
                unnamed[entry["licence"]] += 1
                key += (unnamed[entry["licence"]], 0 if goes_on else side)
            if key not in sets or entry["count"] > sets[key]["count"]:
                sets[key] = entry
    return list(sets.values())
