"""The validation of a pre-training: its loss on held-out volumes."""

from collections.abc import Callable

from ignite.metrics import Average
from torch import Tensor


class MeanLoss(Average):
    """Mean over the batches of a validation of the loss, from the parts that a method gives.

    Args:
        loss_function: Of the parts, such as ``WeightedSum``.
    """

    def __init__(self, loss_function: Callable[[dict[str, Tensor]], Tensor]) -> None:
        super().__init__(output_transform=lambda output: loss_function(output["pred"]).item())


class MeanPart(Average):
    """Mean over the batches of a validation of one of the scalars that a method gives.

    Args:
        part: Its name, such as ``accuracy``.
    """

    def __init__(self, part: str) -> None:
        super().__init__(output_transform=lambda output: output["pred"][part].item())
