"""Describe transforms so that equal transforms have equal descriptions in every process."""

import functools
import hashlib
import json
import types
from collections.abc import Mapping, Set
from enum import Enum
from os import PathLike
from typing import Any

import numpy as np
import torch

RANDOM_STATES = (np.random.RandomState, np.random.Generator, torch.Generator)


def describe(value: Any, _above: tuple[int, ...] = ()) -> Any:
    """Describe ``value`` as JSON: an object by its class and attributes, a function by its code.

    Random states, addresses and the name under which our package was imported (``ssl3d`` or, in a packed bundle,
    ``scripts.ssl3d``) leave no trace. Arrays are given by type, shape and SHA-256. Global variables that a function
    reads are not followed.

    Raises:
        TypeError: an object without attributes has no stable text form.
    """
    if id(value) in _above:
        return "(itself)"
    inner = functools.partial(describe, _above=(*_above, id(value)))
    if isinstance(value, Enum):
        return inner(value.value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return inner(value.item())
    if isinstance(value, (torch.dtype, torch.device, np.dtype, PathLike, bytes)):
        return str(value)
    if isinstance(value, (np.ndarray, torch.Tensor)):
        array = np.ascontiguousarray(value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value)
        return [str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, RANDOM_STATES):
        return "(random state)"
    if isinstance(value, Mapping):
        return {str(key): inner(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [inner(element) for element in value]
    if isinstance(value, Set):
        return sorted((inner(element) for element in value), key=json.dumps)
    if isinstance(value, type):
        return _name(value)
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, functools.partial):
        return {"partial": inner(value.func), "args": inner(value.args), "keywords": inner(value.keywords)}
    if isinstance(value, (types.MethodType, types.BuiltinMethodType)):
        return {"method": value.__name__, "of": inner(value.__self__)}
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return {"function": _name(value), "code": inner(value.__code__), "values": inner([value.__defaults__, cells])}
    if isinstance(value, types.CodeType):
        return [hashlib.sha256(value.co_code).hexdigest(), inner(value.co_names), inner(value.co_consts)]
    return _describe_object(value, inner)


def _describe_object(value: Any, inner: functools.partial) -> Any:
    if hasattr(value, "__dict__"):
        return {_name(type(value)): {key: inner(element) for key, element in sorted(vars(value).items())}}
    text = repr(value)
    if " at 0x" in text:
        raise TypeError(f"{text} has no stable description: give its class attributes, or use a function.")
    return text


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}".removeprefix("scripts.").removeprefix("ssl3d.")
