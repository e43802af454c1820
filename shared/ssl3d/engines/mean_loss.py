"""Validate a pre-training by its loss on held-out volumes."""

from collections.abc import Callable

from ignite.metrics import Average
from torch import Tensor


class MeanLoss(Average):
    """Mean loss over the batches of a validation, from the parts that a method returns.

    Args:
        loss_function: Function of the parts, such as ``WeightedSum``.
    """

    def __init__(self, loss_function: Callable[[dict[str, Tensor]], Tensor]) -> None:
        super().__init__(output_transform=lambda output: loss_function(output["pred"]).item())


class MeanPart(Average):
    """Mean over the batches of a validation of one scalar that a method returns.

    Args:
        part: Name of the scalar, such as ``accuracy``.
    """

    def __init__(self, part: str) -> None:
        super().__init__(output_transform=lambda output: output["pred"][part].item())
