"""Read the tensors of weights files of any origin, without ever running code in the file."""

import io
import json
import pickle
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# keys of the state dictionary in checkpoints of this package (best before network) and of others
KEYS = ("best", "network", "state_dict", "model", "student", "module", "network_weights", "model_state_dict", "net")
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip  # names of safetensors
LFS = b"version https://git-lfs.github.com/spec/"
DEEPEST = 8  # levels of nested dictionaries
LONGEST = 100_000_000  # bytes of a safetensors header, the limit of the format


def tensors_in(content: bytes, path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a state dictionary by name.

    PyTorch files (``torch.save``) and safetensors are read. If a file holds several state dictionaries, the first in
    the order of ``KEYS`` is taken, such as the best weights of a ``checkpoint.pt``. Without any of these keys, the
    only dictionary of tensors is taken.

    Args:
        content: Bytes of the file.
        path: Path of the file, for messages.

    Raises:
        ValueError: the file is damaged or of another format, holds other objects than tensors or no state dictionary,
            or has several under unknown keys. The message names the file.
    """
    start = content[:512].lstrip().lower()
    if content.startswith(LFS):
        raise ValueError(f"{path} is a Git LFS pointer, not the file itself. Run `git lfs pull` in its repository.")
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise ValueError(f"{path} is a web page, not a weights file. Download the file itself.")
    if b"/annex/objects/" in content[:512] and len(content) < 4096:
        raise ValueError(f"{path} is a git-annex pointer, not the file itself. Run `git annex get` or `datalad get`.")
    if not content:
        raise ValueError(f"{path} cannot be read: it is empty. Fetch or save the file again.")
    length = int.from_bytes(content[:8], "little")
    if Path(path).suffix == ".safetensors" or (content[8:9] == b"{" and length <= len(content) - 8):
        return _safetensors(content, path)
    tensors = _state(_unpickled(content, path), path)
    if not tensors:
        raise ValueError(f"{path} holds no tensors by name: it is not a state dictionary.")
    return tensors


def _unpickled(content: bytes, path: str | Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about pickle protocols of other writers
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises any kind of error on a damaged file, KeyError and EOFError included
        unsafe = "weights_only" in str(error)  # torch's message advises running the code of the file
        if isinstance(error, pickle.UnpicklingError) and ("GLOBAL" in str(error) or "add_safe_globals" in str(error)):
            raise ValueError(
                f"{path} holds other objects than tensors, and unpickling them could run code. Save its state "
                "dictionary alone and load that."
            ) from None
        reason = "" if unsafe else f" ({str(error).splitlines()[0][:200] if str(error) else type(error).__name__})"
        raise ValueError(
            f"{path} cannot be read: damaged, or neither a PyTorch nor a safetensors file{reason}."
        ) from None


def _state(tree: Any, path: str | Path, depth: int = 0) -> dict[str, Tensor]:
    """Find the state dictionary in a tree of dictionaries; empty if there is none."""
    if not isinstance(tree, Mapping) or depth > DEEPEST:
        return {}
    for key in KEYS:
        if tensors := _state(tree.get(key), path, depth + 1):
            return tensors
    own = {name: tensor for name, tensor in tree.items() if isinstance(name, str) and isinstance(tensor, Tensor)}
    nested = {
        name: tensors  # states of optimisers have numbers as keys
        for name, value in tree.items()
        if isinstance(name, str) and (tensors := _state(value, path, depth + 1))
    }
    if len(own) >= max(map(len, nested.values()), default=0):
        return own
    if len(nested) > 1:
        raise ValueError(
            f"{path} holds several dictionaries of tensors: {', '.join(sorted(nested))}. Save the wanted dictionary in "
            "a file of its own."
        )
    return next(iter(nested.values()))


def _safetensors(content: bytes, path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file: 8 bytes with the header's length, a JSON header, then the values."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= length <= min(LONGEST, len(content) - 8):
        raise ValueError(f"{path} cannot be read: a safetensors file whose header is damaged.")
    try:
        header = json.loads(content[8 : 8 + length])
        return dict(_entries(header, memoryview(content)[8 + length :]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read: a damaged safetensors file ({error}).") from None


def _entries(header: dict[str, Any], values: memoryview) -> Iterator[tuple[str, Tensor]]:
    if not header.keys() - {"__metadata__"}:
        raise ValueError("it holds no tensors")
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in DTYPES:
            raise ValueError(f"{name} has the type {entry['dtype']}, which is not read")
        dtype, shape, (begin, end) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if not all(type(n) is int and n >= 0 for n in (*shape, begin, end)) or not begin <= end <= len(values):
            raise ValueError(f"{name} lies outside of the file")
        tensor = torch.frombuffer(bytearray(values[begin:end]), dtype=torch.uint8) if end > begin else torch.empty(0)
        yield name, (tensor.view(dtype) if end > begin else tensor.to(dtype)).reshape(shape)
