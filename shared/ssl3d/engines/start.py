"""The network at the start of a run, and the folder where the run writes."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from monai.transforms import Compose
from torch import nn

from .. import weights
from ..data import Datalist
from .network_parts import backbone_of, method_of, task_network
from .weights_advice import advice, warn_of_head

logger = logging.getLogger(__name__)


def start_network(
    network: nn.Module,
    device: str | torch.device,
    pretrained: str | Path = "none",
    bundle_root: str | Path = ".",
    transform: Compose | None = None,
    part: Literal["backbone", "network"] = "backbone",
) -> nn.Module:
    """Put a network on its device, filled with pre-trained weights where these are asked for.

    Weights of the same method (``pretraining.pth``) fill all of it, heads included, so that pre-training goes on. Any
    other fill ``part`` of the network, of the student where the network is a method; of a backbone whose encoder alone
    was trained, as their passport tells, they fill the encoder.

    Args:
        network: A task network with children ``backbone`` and ``head``, or a method with a child ``student`` that is
            one.
        device: Where it goes.
        pretrained: ``none``, a bundle's name or a path; see ``ssl3d.weights.resolve``.
        bundle_root: Folder of the bundle that trains.
        transform: The run's preprocessing; where orientation, spacing or intensity differ from those of the weights,
            a warning says so.
        part: ``backbone``, so that whatever the weights were trained for leaves the head as it is; or ``network``, so
            that training goes on where these weights are: the head is filled too where its shape fits.

    Raises:
        FileNotFoundError: no such weights.
        ValueError: another ``part``.
        WeightsMismatch: weights that do not fit.
    """
    if part not in ("backbone", "network"):
        raise ValueError(f"pretrained_part must be backbone or network, got {part!r}.")
    file = weights.resolve(pretrained, bundle_root)
    if file is None:
        logger.info("pretrained is none: the network starts from random weights.")
        return network.to(device)
    passport = weights.passport_of(file)
    method = method_of(network)
    if method is not None and passport is not None and passport.network == type(network).__name__:
        with advice(network, file, backbone_of(network)):
            weights.load(network, file, part="network", min_match=1.0)
    else:
        reached = passport.trained if passport is not None and part == "backbone" else part
        with advice(network, file, backbone_of(network)):
            report = weights.load(task_network(network), file, part=reached)
        if part == "network":
            warn_of_head(network, file, report)
        if method is not None and method.teacher is not None:  # it starts as the student, whose weights have changed
            method.teacher.load_state_dict(method.student.state_dict())
    if transform is not None:
        weights.warn_of_other_settings(file, transform)
    return network.to(device)


def trained_network(
    network: nn.Module, device: str | torch.device, path: str | Path | None, transform: Compose | None = None
) -> nn.Module:
    """Put a task network on its device with all of its weights from a file, in evaluation mode.

    Warnings say when the weights were trained on synthetic anatomy, and where the preprocessing differs from the one
    that they were trained with.

    Args:
        network: The network of the file.
        device: Where it goes.
        path: Such as ``models/model.pt``; None where a bundle ships no weights for its settings.
        transform: The run's preprocessing.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no path.
        WeightsMismatch: not every entry of the network is in the file.
    """
    if path is None:
        raise ValueError(
            "This bundle ships no weights for these settings. Train them first (see docs/README.md), and give the file "
            "with --weights FILE."
        )
    path = Path(path).expanduser()
    with advice(network, path, backbone_of(network)):
        weights.load(network, path, part="network", min_match=1.0)
    passport = weights.passport_of(path)
    if passport is not None and passport.synthetic:
        logger.warning(f"{path}: DEMONSTRATION WEIGHTS, trained on synthetic anatomy, not for images of people.")
    if transform is not None:
        weights.warn_of_other_settings(path, transform)
    return network.to(device).eval()


def is_synthetic(items: Iterable[Mapping[str, Any]]) -> bool:
    """Whether any item says that it is synthetic."""
    return any(item.get("synthetic") for item in items)


def run_folder(output_dir: str | Path, data: Datalist | list[dict]) -> Path:
    """Where a run writes: ``output_dir``, or ``output_dir/demo`` when any of its items is synthetic."""
    return Path(output_dir) / "demo" if is_synthetic(data) else Path(output_dir)
