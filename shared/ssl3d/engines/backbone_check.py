"""Check what a backbone offers before a run relies on it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..networks import SwinUNETRBackbone, UNet3d
from .start import backbone_of
from .writable import PreflightError

PAGE = "See docs/backbone.md."
OFFERS = ("encoder_channels", "encoder_strides", "decoder_channels", "decoder_strides")


def check_backbone(network: nn.Module) -> None:
    """Check that the backbone of ``network`` offers what heads, views and passport need, and keeps its word.

    A backbone of another origin is called once, with zeros of twice its coarsest stride.

    Raises:
        PreflightError: Naming the class, and what is missing or differs.
    """
    backbone: Any = backbone_of(network)
    if not isinstance(backbone, nn.Module) or isinstance(backbone, torch.jit.ScriptModule):
        return  # a compiled network tells nothing
    name = type(backbone).__name__
    missing = [offer for offer in OFFERS if not _whole_numbers(getattr(backbone, offer, None))]
    if missing:
        raise PreflightError(
            f"The backbone {name} needs {', '.join(missing)}: a tuple of whole numbers each, for the encoder from fine "
            f"to coarse, for the decoder from coarse to fine. {PAGE}"
        )
    arguments = getattr(backbone, "arguments", None)
    if not isinstance(arguments, dict):
        raise PreflightError(
            f"The backbone {name} needs arguments: a dictionary of what its constructor was given. {PAGE}"
        )
    if not isinstance(backbone, (UNet3d, SwinUNETRBackbone)):
        _check_maps(backbone, name)


def _check_maps(backbone: Any, name: str) -> None:
    side = 2 * backbone.encoder_strides[-1]
    image = torch.zeros(1, int(backbone.arguments.get("in_channels", 1)), side, side, side)
    training = backbone.training
    try:
        with torch.no_grad():
            features = backbone.eval()(image)
    except Exception as error:  # whatever a network of others raises
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


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) > 0 and all(isinstance(n, int) and n > 0 for n in value)
