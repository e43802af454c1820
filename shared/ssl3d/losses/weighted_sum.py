"""Sum the parts of a method with weights: the loss function of the pre-training bundles."""

import math

import torch
from torch import Tensor, nn


class WeightedSum(nn.Module):
    """``Σ weight · part`` over the parts named in ``weights``; other entries, such as monitors, do not count.

    Args:
        weights: Name of a part -> weight, a finite number >= 0; at least one is positive.

    Raises:
        ValueError: for any other weights; in a call, if a named part is absent or not a scalar.

    Example:
        >>> parts = {"ncc": torch.tensor(0.5), "smooth": torch.tensor(2.0), "accuracy": torch.tensor(0.9)}
        >>> WeightedSum({"ncc": 1, "smooth": 0.1})(parts)
        tensor(0.7000)
    """

    def __init__(self, weights: dict[str, float]) -> None:
        super().__init__()
        for name, weight in weights.items():
            if not isinstance(weight, int | float) or not math.isfinite(weight) or weight < 0:
                raise ValueError(f"the weight of {name!r} must be a finite number >= 0, got {weight!r}.")
        if not any(weights.values()):
            raise ValueError(f"at least one weight must be positive, got {weights}.")
        self.weights = dict(weights)

    def forward(self, parts: dict[str, Tensor], _: object = None) -> Tensor:
        """Sum the scalars ``parts``; the second argument, the label that MONAI's trainer passes, is not used.

        Returns:
            A scalar with gradient to the named parts.
        """
        absent = sorted(self.weights.keys() - parts.keys())
        if absent:
            raise ValueError(f"no loss part {', '.join(absent)}; the parts are {', '.join(sorted(parts))}.")
        for name in self.weights:
            if parts[name].ndim:
                raise ValueError(f"part {name!r} must be a scalar, got shape {tuple(parts[name].shape)}.")
        return torch.stack([weight * parts[name] for name, weight in self.weights.items()]).sum()
