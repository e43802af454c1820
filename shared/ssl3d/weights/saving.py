"""Save weights in half precision with their passport, so that no crash leaves a mismatched pair that loads."""

import hashlib
import io
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files.atomic import replacing
from .passport import Passport, beside, text_of


def save(
    network: nn.Module | Mapping[str, Tensor], path: str | Path, passport: Passport, *, keep: str | Path | None = None
) -> Passport:
    """Write the tensors of a network (floating point as float16, others unchanged) and the passport beside them.

    Both files are first written completely under temporary names, so that a full disk leaves the former pair intact.
    Then the passport is replaced before the weights, each atomically. A crash in between leaves old or no weights with
    the new passport, and ``load`` refuses them by the hash. In the other order, new weights could be left without any
    passport and would load unchecked. The former pair is first copied to ``keep`` in the same manner.

    Args:
        network: Module, or its state dictionary.
        path: Weights file, whose folder is created. Equal tensors give equal bytes, whatever their memory format.
        passport: Passport of the weights, to which ``sha256`` is added.
        keep: Folder for a former pair at ``path``, if any; a pair in that folder is replaced.

    Returns:
        The passport as written.

    Raises:
        ValueError: an entry that is no tensor, is not finite or exceeds float16 (65504); ``path`` ends in ``.json``;
            ``keep`` is the folder of ``path``. Nothing is written in these cases.
    """
    path = Path(path)
    if path == beside(path):
        raise ValueError(f"{path} would be overwritten by its own passport; name the weights .pt or .pth.")
    if keep is not None and Path(keep).resolve() == path.parent.resolve():
        raise ValueError(f"keep must be another folder than {path.parent}, where the new weights go.")
    state = network.state_dict() if isinstance(network, nn.Module) else network
    buffer = io.BytesIO()
    torch.save({name: _half(name, tensor) for name, tensor in state.items()}, buffer)
    content = buffer.getvalue()
    passport = replace(passport, sha256=hashlib.sha256(content).hexdigest())

    path.parent.mkdir(parents=True, exist_ok=True)
    if keep is not None and path.is_file():
        _keep(path, Path(keep))
    with replacing(path) as weights, replacing(beside(path)) as text:  # the inner file is replaced first
        weights.write_bytes(content)
        text.write_text(text_of(passport), encoding="utf-8")
    return passport


def _half(name: str, tensor: Tensor) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise ValueError(f"Entry {name} is {type(tensor).__name__}; weights files hold tensors only.")
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point():
        half = tensor.to(torch.float16)
        if not torch.isfinite(half).all():
            raise ValueError(f"Entry {name} is not finite in float16 (largest magnitude {tensor.abs().max():.3g}).")
        tensor = half
    return tensor.clone(memory_format=torch.contiguous_format)  # torch would save a view with its whole storage


def _keep(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kept, known = folder / path.name, beside(path).is_file()
    if known:
        with replacing(kept) as weights, replacing(beside(kept)) as text:
            shutil.copyfile(path, weights)
            shutil.copyfile(beside(path), text)
    else:
        with replacing(kept) as weights:
            shutil.copyfile(path, weights)
        beside(kept).unlink(missing_ok=True)  # passport of weights that no longer exist
