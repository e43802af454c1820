"""Load weights into a network if enough of them fit; otherwise raise and leave the network unchanged."""

import hashlib
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .files import tensors_in
from .passport import PARTS, Passport, beside, passport_of

logger = logging.getLogger(__name__)

WRAPPERS = ("state_dict", "model", "student", "module", "_orig_mod", "net", "network", "backbone")
SHOWN = 4


@dataclass(frozen=True)
class LoadReport:
    """Report on every entry of the file and of the network.

    Attributes:
        matched: Entries of the network that were filled unchanged.
        adapted: Entries of the network that were filled after adapting their input channels.
        missing: Entries of the network that the file did not fill; they keep their values.
        unexpected: Entries of the file that were not used.
        fraction: Share of the elements of ``part`` that fit (matched or adapted), 0 .. 1; see ``load``.
        part: Denominator of ``fraction``: ``file``, ``network``, ``network's backbone`` or ``network's encoder``.
        misfits: Entries of the same name that differ: name -> shape or type in the file, and in the network.
    """

    matched: list[str]
    adapted: list[str]
    missing: list[str]
    unexpected: list[str]
    fraction: float
    part: str = "file"
    misfits: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            f"{_percent(self.fraction)} of the elements of the {self.part} fit. Entries: {len(self.matched)} matched, "
            f"{len(self.adapted)} adapted, {len(self.missing)} missing, {len(self.unexpected)} unexpected."
        ]
        for title, names in (
            ("adapted (other number of input channels)", self.adapted),
            ("missing (in the network, not filled: left as they were)", self.missing),
            ("unexpected (in the file, not used)", self.unexpected),
        ):
            if names:
                lines.append(f"  {title}: {_first(names)}")
        if self.misfits:
            both = [f"{name} ({a} in the file, {b} in the network)" for name, (a, b) in self.misfits.items()]
            lines.append(f"  same name, but not the same: {_first(both)}")
        return "\n".join(lines)


class WeightsMismatch(ValueError):  # noqa: N818 (the name is part of the public interface)
    """Raised if too few of a file's weights fit the network, which stays unchanged; ``report`` lists the entries."""

    def __init__(self, message: str, report: LoadReport) -> None:
        super().__init__(message, report)
        self.report = report

    def __str__(self) -> str:
        return str(self.args[0])


def load(
    network: nn.Module, path: str | Path, *, min_match: float = 0.9, part: str | None = None, prefix: str = "backbone."
) -> LoadReport:
    """Copy the weights of a file into a network, all or nothing; return and log a report.

    Names match with or without ``prefix``, and with or without the words of ``WRAPPERS`` before them, in any nesting
    (``module._orig_mod.student.backbone.``). From a file that holds more than a state dictionary, such as a checkpoint
    of a training, the state dictionary is taken, see :func:`ssl3d.weights.files.tensors_in`. An entry fills an entry of
    the same shape, cast to its dtype (files are float16, networks float32). If only the number of input channels
    differs, convolutions of the input are adapted: one channel is repeated and divided by the new number, and many
    channels are summed into one. The response to an image with equal channels is then the same as before.

    The share that fits is counted in elements, because a part such as SwinViT has most of a network's tensors but few
    of its elements. Its denominator:

    - with a ``part`` (argument, else the passport's) that part of the network: ``"backbone"`` = the entries below
      ``prefix``, or all of a network that has none because it is a backbone itself; ``"encoder"`` = those that the
      backbone's ``encoder_prefix`` names; ``"network"`` = all. Entries outside the part are not filled;
    - without either, the floating-point elements of the file.

    Args:
        network: Module to fill.
        path: File of tensors, written by ``save``, ``torch.save`` or ``safetensors``. A JSON file of the same name
            beside it is its passport, which must be valid and name the file's sha256.
        min_match: Smallest share to accept, 0 .. 1. With ``part="network"``, 1.0 requires every entry.
        part: None, ``"encoder"``, ``"backbone"`` or ``"network"``.
        prefix: Prefix of the backbone's entries in the network, with its final dot.

    Raises:
        WeightsMismatch: less than ``min_match`` fits, or nothing at all. The network is unchanged; see ``.report``.
        FileNotFoundError: there is no such file.
        ValueError: an argument out of bounds; a file that is damaged, holds other objects than tensors (pickled code
            is never run) or no tensors; an invalid passport, or the passport of another file.

    Examples:
        >>> load(SegmentationNet(UNet3d(), 3), "model.pt", part="backbone").missing
        ['head.weight', 'head.bias']
    """
    if not 0 <= min_match <= 1:
        raise ValueError(f"min_match must be between 0 and 1, got {min_match}.")
    if part is not None and part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)} or None, got {part!r}.")
    path = Path(path)
    file, passport = _read(path)
    part = part or (passport.part if passport else None)

    state = {name: tensor for name, tensor in network.state_dict().items() if isinstance(tensor, Tensor)}
    targets = _entries_of(network, part, list(state), prefix) if part else list(state)
    pairs = _pair(list(file), set(targets), prefix)
    input_convolutions = _input_convolutions(network)
    values: dict[str, Tensor] = {}
    adapted: list[str] = []
    misfits: dict[str, tuple[Any, Any]] = {}
    for name, source in pairs.items():
        tensor, target = file[source], state[name]
        if tensor.dtype != target.dtype and not (tensor.is_floating_point() and target.is_floating_point()):
            misfits[name] = (tensor.dtype, target.dtype)
        elif tensor.shape == target.shape:
            values[name] = tensor.to(target.dtype)
        elif name in input_convolutions and _differ_in_channels(tensor, target):
            values[name] = _with_channels(tensor.to(target.dtype), target.shape[1])
            adapted.append(name)
            logger.info("%s: %d -> %d input channels", name, tensor.shape[1], target.shape[1])
        else:
            misfits[name] = (list(tensor.shape), list(target.shape))

    used = {pairs[name] for name in values}
    if part:
        fits, total = sum(state[n].numel() for n in values), sum(state[n].numel() for n in targets)
    else:
        floating = {name: tensor.numel() for name, tensor in file.items() if tensor.is_floating_point()}
        fits, total = sum(floating.get(name, 0) for name in used), sum(floating.values())
    report = LoadReport(
        matched=[name for name in state if name in values and name not in adapted],
        adapted=adapted,
        missing=[name for name in state if name not in values],
        unexpected=[name for name in file if name not in used],
        fraction=fits / total if total else 0.0,
        part={None: "file", "network": "network"}.get(part, f"network's {part}"),
        misfits=misfits,
    )
    if report.fraction < min_match or not values:
        raise WeightsMismatch(_refusal(path, min_match, report, passport), report)
    with torch.no_grad():
        for name, value in values.items():
            state[name].copy_(value)  # in place: device and memory format stay
    logger.info("Loaded %s: %s", path, report)
    return report


def _read(path: Path) -> tuple[dict[str, Tensor], Passport | None]:
    """Read tensors and passport of a file. The bytes that are hashed are the bytes that are unpickled."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no weights file {path}.")
    content = path.read_bytes()
    passport = passport_of(path)
    if passport is not None:
        digest = hashlib.sha256(content).hexdigest()
        if digest != passport.sha256:
            raise ValueError(
                f"{path} is not the file that its passport {beside(path).name} describes: sha256 {digest}, in the "
                f"passport {passport.sha256 or 'none'}. Fetch or save the pair again; never edit the passport's sha256."
            )
    return tensors_in(content, path), passport


def _entries_of(network: nn.Module, part: str, names: list[str], prefix: str) -> list[str]:
    if part == "network":
        return names
    if part == "backbone":
        return [name for name in names if name.startswith(prefix)] or names
    modules = {name: getattr(module, "encoder_prefix", None) for name, module in network.named_modules()}
    encoders = tuple(f"{name}.{start}".removeprefix(".") for name, start in modules.items() if start)
    if not encoders:
        raise ValueError(
            f"{type(network).__name__} does not say which of its weights are the encoder. Derive its backbone from "
            "ssl3d.networks.Backbone, or set encoder_prefix on it, such as 'encoder.'."
        )
    return [name for name in names if name.startswith(encoders)]


def _spellings(name: str, prefix: str) -> Iterator[str]:
    """Yield the names that an entry of a file may have in the network, the most literal first."""
    yield name
    name = name.replace("_orig_mod.", "")  # compiled modules have it at any place
    while True:
        yield from (name, prefix + name, name.removeprefix(prefix))
        wrapper, _, rest = name.partition(".")
        if wrapper not in WRAPPERS or not rest:
            return
        name = rest


def _pair(file: list[str], targets: set[str], prefix: str) -> dict[str, str]:
    """Map network entries to file entries. If several file entries fit one, the most literal spelling is taken."""
    best: dict[str, tuple[int, str]] = {}
    for source in file:
        for rank, name in enumerate(_spellings(source, prefix)):
            if name in targets:
                if name not in best or rank < best[name][0]:
                    best[name] = (rank, source)
                break
    return {name: source for name, (_, source) in best.items()}


def _input_convolutions(network: nn.Module) -> set[str]:
    """Find the convolutions that read the image: the first one, and others of as many input channels.

    SwinUNETR has three: the patch embedding and the two of its first residual block.
    """
    convolutions = {
        f"{name}.weight".removeprefix("."): module.in_channels
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.groups == 1
    }
    first = next(iter(convolutions.values()), 0)
    return {name for name, channels in convolutions.items() if channels == first}


def _differ_in_channels(tensor: Tensor, target: Tensor) -> bool:
    a, b = list(tensor.shape), list(target.shape)
    return len(a) == len(b) and 1 in (a[1], b[1]) and a[:1] + a[2:] == b[:1] + b[2:]


def _with_channels(weight: Tensor, channels: int) -> Tensor:
    """Adapt the input channels of a weight: (O, 1, ...) -> (O, channels, ...), or (O, C, ...) -> (O, 1, ...)."""
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    return weight.expand(-1, channels, *weight.shape[2:]) / channels


def _percent(fraction: float) -> str:
    return f"{math.floor(1000 * fraction) / 10:.1f} %"  # rounded down, so that only a full match reads 100.0 %


def _first(names: list[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _refusal(path: Path, min_match: float, report: LoadReport, passport: Passport | None) -> str:
    lines = [f"Refused to load {path}: at least {_percent(min_match)} of the {report.part} must fit. {report}"]
    if passport is not None:
        lines.append(f"  the passport says: {passport.backbone}, arguments {passport.backbone_arguments}")
    lines.append("The network is unchanged.")
    return "\n".join(lines)
