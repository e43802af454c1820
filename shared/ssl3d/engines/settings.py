"""Check the settings that users change, before anything is built from them."""

import os
from numbers import Real
from typing import Any

import torch
from monai.bundle import ConfigParser

from .flag import flag

TEXTS = (
    "bundle_root", "dataset_dir", "datalist", "series", "output_dir", "model_dir", "pretrained", "weights",
    "matcher_weights", "fixed", "moving", "fixed_label", "moving_label", "template", "points",
)  # fmt: skip
WHOLE_FROM = {
    "epochs": 1, "epoch_length": 1, "val_interval": 1, "batch_size": 1, "train#trainer#max_epochs": 1,
    "num_workers": 0, "seed": 0,
}  # fmt: skip
POSITIVE = ("learning_rate",)
SIDES = ("roi_size", "pixdim")
SWITCHES = ("resume", "amp", "skip_bad", "publish")


def check_settings(parser: ConfigParser) -> list[str]:
    """Convert the settings of a run to the types that the configs expect, and list those that do not fit.

    The command line passes a folder named ``20240501`` as a number, and does not expand ``~``. Paths become text with
    ``~`` expanded, and one number for three axes becomes three. Expressions and references are not changed.

    Args:
        parser: Merged config, which is changed in place.

    Returns:
        One sentence per setting that cannot be used, such as ``epochs must be a whole number from 1, got 1.5.``
    """
    faults = []
    for key, value in _given(parser, TEXTS):
        text = os.path.expanduser(str(value))
        if text != value:
            parser[key] = text
    for key, value in _given(parser, tuple(WHOLE_FROM)):
        if not _is_whole(value) or value < WHOLE_FROM[key]:
            faults.append(f"{key} must be a whole number from {WHOLE_FROM[key]}, got {value!r}.")
    for key, value in _given(parser, POSITIVE):
        if not _is_number(value) or not 0 < value < float("inf"):
            faults.append(f"{key} must be a positive number, got {value!r}.")
    for key, value in _given(parser, SIDES):
        sides = [value] * 3 if _is_number(value) else value
        fits = _is_whole if key == "roi_size" else _is_number
        what = "whole numbers of voxels" if key == "roi_size" else "numbers of mm"
        if (
            not isinstance(sides, (list, tuple))
            or len(sides) != 3
            or not all(fits(side) and side > 0 for side in sides)
        ):
            faults.append(f"{key} must be three positive {what}, or one for all three axes, got {value!r}.")
        elif list(sides) != value:
            parser[key] = list(sides)
    for key, value in _given(parser, SWITCHES):
        try:
            flag(value)
        except ValueError:
            faults.append(f"{key} must be true or false, got {value!r}.")
    for _, value in _given(parser, ("device",)):
        faults += _device_faults(value)
    return faults


def _device_faults(device: Any) -> list[str]:
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        return [f"device must be cpu, cuda, cuda:0 or the like, got {device!r}."]
    count = torch.cuda.device_count()
    if found.type == "cuda" and not torch.cuda.is_available():
        return [
            f"device is {device}, but PyTorch finds no GPU here. Use --device cpu, or install a driver and a build of "
            "PyTorch for CUDA."
        ]
    if found.type == "cuda" and (found.index or 0) >= count:
        return [f"device is {device}, but PyTorch finds {count} GPU(s), numbered from 0."]
    return []


def _given(parser: ConfigParser, keys: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Return the keys and values of the config that are set and are neither expressions nor components."""
    found = [(key, parser[key]) for key in keys if key in parser]
    return [
        (k, v)
        for k, v in found
        if v is not None
        and not (isinstance(v, str) and v[:1] in ("$", "@", "%"))
        and not (isinstance(v, dict) and "_target_" in v)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
