"""Measure during training how much each part of a loss moves the backbone, by the norms of the gradients."""

import torch
from ignite.engine import Events
from monai.engines import IterationEvents, Trainer
from monai.utils import CommonKeys
from torch import nn

from ..losses import WeightedSum
from .network_parts import backbone_of


class GradientShares:
    """Handler of a trainer that measures, at the first step of each epoch, the influence of each part of the loss.

    For every part with a positive weight it computes the norm of the gradient of ``weight · part`` at the parameters of
    the backbone. The share of a part is its norm over the sum of all norms. A part with a share near 0 has no
    influence, whatever its value. ``trainer.state.metrics`` gets the shares as ``gradient_<part>``, which ``Progress``
    and TensorBoard show. The handler costs one backward pass per part and epoch and does not change the training. In a
    distributed run each process measures its own batch, and the first process reports. List it before ``Progress``.

    Args:
        network: Method, with or without its distributed wrapper.
        loss_function: Loss of the trainer.

    Example:
        >>> GradientShares(network, WeightedSum({"matching": 1, "contrast": 1})).attach(trainer)  # doctest: +SKIP
    """

    def __init__(self, network: nn.Module, loss_function: WeightedSum) -> None:
        backbone = backbone_of(network)
        self.parameters = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
        self.weights = {name: weight for name, weight in loss_function.weights.items() if weight > 0}

    def attach(self, trainer: Trainer) -> None:
        """Measure between the loss and its backward pass."""
        trainer.add_event_handler(Events.EPOCH_STARTED, self._arm)
        trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, self._measure)

    def _arm(self, trainer: Trainer) -> None:
        self.due = True

    def _measure(self, trainer: Trainer) -> None:
        if not self.due:
            return
        self.due = False
        parts = trainer.state.output[CommonKeys.PRED]
        norms = {}
        for name, weight in self.weights.items():
            found = torch.autograd.grad(
                weight * parts[name], self.parameters, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            norms[name] = torch.stack([gradient.float().norm() for gradient in found]).norm()
        total = torch.stack(list(norms.values())).sum().clamp(min=torch.finfo(torch.float32).tiny)
        for name, norm in norms.items():
            trainer.state.metrics[f"gradient_{name}"] = (norm / total).item()
