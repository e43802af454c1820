"""Check the contract of a backbone before a run relies on it."""

import inspect
import json
from typing import Any

import torch
from torch import nn

from ..networks import SwinUNETRBackbone, UNet3d
from ..networks.base import check_contract
from .network_parts import backbone_of
from .writable import PreflightError

PAGE = "See docs/backbone.md."


def check_backbone(network: nn.Module) -> None:
    """Check that the backbone of ``network`` has all that heads, views and passport need, and that its maps fit.

    A backbone from outside of this package is called once, with zeros of twice its coarsest stride.

    Raises:
        ValueError: The backbone lacks something or differs; the message names the class.
    """
    backbone: Any = backbone_of(network)
    if not isinstance(backbone, nn.Module) or isinstance(backbone, torch.jit.ScriptModule):
        return  # a compiled network cannot be inspected
    name = type(backbone).__name__
    check_contract(backbone)
    if not isinstance(backbone, (UNet3d, SwinUNETRBackbone)):
        _check_arguments(backbone, name)
        _check_maps(backbone, name)


def _check_arguments(backbone: Any, name: str) -> None:
    for key, value in backbone.arguments.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise PreflightError(
                f"arguments of the backbone {name} holds a {type(value).__name__} under {key!r}. The passport is JSON: "
                f"take numbers, texts, lists and dictionaries. {PAGE}"
            ) from None
    constructor = inspect.signature(type(backbone))
    try:
        constructor.bind(**backbone.arguments)
    except TypeError as error:
        names = ", ".join(constructor.parameters)
        raise PreflightError(
            f"arguments of the backbone {name} must be what its constructor takes: {names}, not {backbone.arguments} "
            f"({error}). {PAGE}"
        ) from None
    try:
        inspect.signature(backbone.forward).bind(None)
    except TypeError as error:
        raise PreflightError(
            f"forward of the backbone {name} must take one image (B, C, D, H, W) and nothing else: {error}. {PAGE}"
        ) from None


def _check_maps(backbone: Any, name: str) -> None:
    side = 2 * backbone.encoder_strides[-1]
    image = torch.zeros(1, int(backbone.arguments.get("in_channels", 1)), side, side, side)
    training = backbone.training
    try:
        with torch.no_grad():
            features = backbone.eval()(image)
    except Exception as error:  # a user's network may raise anything
        raise PreflightError(f"The backbone {name} fails on an image of shape {list(image.shape)}: {error}") from error
    finally:
        backbone.train(training)
    for part in ("encoder", "decoder"):
        maps = getattr(features, part, None)
        if maps is None:
            raise PreflightError(f"The backbone {name} returns {type(features).__name__}, not Features. {PAGE}")
        found = [(int(m.shape[1]), list(m.shape[2:])) for m in maps]
        channels, strides = getattr(backbone, f"{part}_channels"), getattr(backbone, f"{part}_strides")
        promised = [(c, [side // stride] * 3) for c, stride in zip(channels, strides, strict=False)]
        if found != promised:
            raise PreflightError(
                f"The backbone {name} returns {part} maps of channels and size {found}, where its {part}_channels and "
                f"{part}_strides promise {promised} for an image of side {side}. {PAGE}"
            )
