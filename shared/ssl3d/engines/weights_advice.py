"""Advise what to do with weights that do not fit the network of a run."""

import json
import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from .. import networks, weights
from .network_parts import method_of

logger = logging.getLogger(__name__)


@contextmanager
def advice(network: nn.Module, file: Path, backbone: Any) -> Iterator[None]:
    """Add the flag or command that helps, as far as the passport tells, to a ``WeightsMismatch`` of the block.

    Args:
        network: Network of the run.
        file: Weights file to load.
        backbone: Backbone of ``network``.
    """
    try:
        yield
    except weights.WeightsMismatch as error:
        passport = weights.passport_of(file)
        lines = (
            [] if passport is None else [*_other_network(passport, network, file), *_flag(passport, network, backbone)]
        )
        raise weights.WeightsMismatch("\n".join([str(error), *lines]), error.report) from error


def _other_network(passport: weights.Passport, network: nn.Module, file: Path) -> Iterator[str]:
    there, here = passport.network.split(",")[0], type(network).__name__
    if (
        there == here
        or passport.method.split(",")[0] == "supervised"
        or not isinstance(network, networks.SegmentationNet)
    ):
        return
    yield (
        f"These are weights of pre-training ({passport.method}), which have no head for this task. Fine-tune first: "
        f"python -m monai.bundle run --config_file configs/train.json --pretrained {shlex.quote(str(file))} "
        "--dataset_dir /path/to/labelled; then give its model.pt with --weights."
    )


def _flag(passport: weights.Passport, network: nn.Module, backbone: Any) -> Iterator[str]:
    same = type(backbone).__name__ == passport.backbone
    if same and json.loads(json.dumps(backbone.arguments)) == passport.backbone_arguments:
        return
    module = "scripts.networks" if hasattr(networks, passport.backbone) else "MODULE"
    value = {"_target_": f"{module}.{passport.backbone}", **passport.backbone_arguments}
    key = "network_def#student#backbone" if method_of(network) else "network_def#backbone"
    where = " (MODULE is the module of that class)" if module == "MODULE" else ""
    yield f'The weights are of another backbone. Add its flag{where}: --{key} "{value}"'


def warn_of_head(network: nn.Module, file: Path, report: weights.LoadReport) -> None:
    """Warn if the head to be filled has another number of classes or channels than the file."""
    for name, (there, here) in report.misfits.items():
        if name.startswith("head.") and name.endswith(".weight") and isinstance(there, list):
            what = "classes with background" if isinstance(network, networks.SegmentationNet) else "channels"
            logger.warning(
                "%s: head not loaded: %d %s in the file, %d here. The head starts from random weights.",
                file,
                there[0],
                what,
                here[0],
            )
