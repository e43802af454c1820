"""The golden run of GVSL's network at its published width, made once for all tests that read it."""

import json
from functools import cache

import torch
from golden import DATA, golden_weight, unit_wave
from torch import Tensor

from ssl3d.methods import GVSL
from ssl3d.networks import Features, RegistrationNet, UNet3d

from .gvsl import released_parameters

SHAPE = (1, 1, 32, 32, 32)


def golden_pair() -> tuple[Tensor, Tensor, Tensor]:
    """Corrupted fixed volume, moving volume and clean target, float32."""
    return unit_wave(SHAPE).float(), unit_wave(SHAPE, 0.9).float(), unit_wave(SHAPE, 0.1).float()


@cache
def golden_method() -> GVSL:
    """The network at its published width with the golden weights; leave them as they are."""
    backbone = UNet3d(1, (32, 64, 128, 256, 512), stem_stride=1)
    method = GVSL(RegistrationNet(backbone, affine_channels=256, flow_channels=16), restoration_channels=16)
    order = json.loads((DATA / "gvsl.json").read_text())["meta"]["weights_order"]
    parameters = dict(released_parameters(method))
    assert [[name, list(value.shape)] for name, value in parameters.items()] == order
    with torch.no_grad():
        for position, (name, value) in enumerate(parameters.items()):
            value.copy_(golden_weight(value.shape, position, name))
    return method


@cache
def golden_features() -> tuple[Features, Features]:
    """Features of the fixed and of the moving volume, without gradient."""
    fixed, moving, _ = golden_pair()
    with torch.no_grad():
        return golden_method().student.backbone(fixed), golden_method().student.backbone(moving)
