"""Prepare the network at the start of a run, and choose the run's folder."""

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
    """Put a network on its device and load pre-trained weights, if any.

    Weights of the same method (``pretraining.pth``) fill the whole method, heads included, to continue pre-training.
    Any other weights fill ``part`` of the network, or of the student if the network is a method. Weights of which only
    the encoder was trained, according to their passport, fill only the encoder.

    Args:
        network: Task network with children ``backbone`` and ``head``, or a method with such a network as its child
            ``student``.
        device: Device of the network.
        pretrained: ``none``, a bundle's name or a path; see ``ssl3d.weights.resolve``.
        bundle_root: Folder of the bundle that trains.
        transform: Preprocessing of the run. A warning tells if its orientation, spacing or intensity differ from those
            of the weights.
        part: ``backbone``: the head keeps its random weights. ``network``: the head is filled too, if its shape fits,
            to continue the training of these weights.

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
        if method is not None and method.teacher is not None:  # the teacher starts as a copy of the student
            method.teacher.load_state_dict(method.student.state_dict())
    if transform is not None:
        weights.warn_of_other_settings(file, transform)
    return network.to(device)


def trained_network(
    network: nn.Module, device: str | torch.device, path: str | Path | None, transform: Compose | None = None
) -> nn.Module:
    """Put a task network on its device in evaluation mode, with all of its weights from a file.

    Warnings tell if the weights were trained on synthetic anatomy, and if the preprocessing differs from that of the
    training.

    Args:
        network: Network with the architecture of the file.
        device: Device of the network.
        path: Weights file, such as ``models/model.pt``; None if a bundle ships no weights for its settings.
        transform: Preprocessing of the run.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no path.
        WeightsMismatch: not every entry of the network is in the file.
    """
    if path is None:
        raise ValueError(
            "This bundle ships no weights for these settings. Train a network first (see docs/README.md), and give its "
            "weights with --weights FILE."
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
    """Return whether any item is marked as synthetic."""
    return any(item.get("synthetic") for item in items)


def run_folder(output_dir: str | Path, data: Datalist | list[dict]) -> Path:
    """Return the folder of a run: ``output_dir``, or ``output_dir/demo`` if any of its items is synthetic."""
    return Path(output_dir) / "demo" if is_synthetic(data) else Path(output_dir)
