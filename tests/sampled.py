"""What the samplers of all augmentations must keep."""

from typing import Any

import torch


def assert_a_function_of_seed_and_draw(augmentation: Any, size: tuple[int, int, int]) -> None:
    """Each item's parameters do not depend on its batch, and differ with the draw and with the seed."""
    both = augmentation.sample([5, 3], size, seed=1)
    for position, draw in enumerate((5, 3)):
        alone = augmentation.sample(torch.tensor([draw]), size, seed=1)
        for name, value in alone._asdict().items():
            assert torch.equal(getattr(both, name)[position], value[0]), name
    for other in (augmentation.sample([3, 5], size, seed=1), augmentation.sample([5, 3], size, seed=2)):
        for name, value in other._asdict().items():
            assert not any(torch.equal(*pair) for pair in zip(value, getattr(both, name), strict=True)), name
