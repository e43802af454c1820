"""Share code between samplers of parameters: random states from (seed, draw), checks of sizes."""

import operator
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from ..data import draw_seed

Draws = Sequence[int] | Tensor


class _Zeros(np.random.SeedSequence):
    """Cheap seed for a generator that is seeded again at once; a seed from the system would take most of the time."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> np.ndarray:
        return np.zeros(n_words, dtype)


_ZEROS = _Zeros(0)


def random_states(seed: int, draws: Draws, purpose: str) -> list[np.random.RandomState]:
    """Return one random state per item of a batch, which depends only on (seed, draw) and on the purpose.

    The purpose separates transforms that share a seed. Without it all would start with the same number, and a large
    rotation would, for example, always come without shuffling. Numpy promises to keep the stream of RandomState.

    Args:
        seed: Seed of the run.
        draws: (B,) draw numbers, a sequence or an integer tensor.
        purpose: Text that no other sampler uses.

    Raises:
        ValueError: no draws, or draws that are not integers from 0.
    """
    try:
        numbers = [operator.index(draw) for draw in (draws.tolist() if isinstance(draws, Tensor) else draws)]
    except TypeError:
        numbers = []
    if not numbers or min(numbers) < 0:
        raise ValueError(f"draws must be integers from 0, one for each item of the batch, got {draws}.")
    states = [np.random.RandomState(np.random.MT19937(_ZEROS)) for _ in numbers]
    for state, number in zip(states, numbers, strict=True):
        state.seed([draw_seed(seed, number), crc32(purpose.encode())])
    return states


def permutations(seed: int, draws: Draws, purpose: str) -> list[Callable[[int], Tensor]]:
    """Return one function per item of a batch that permutes the numbers below n, int64.

    The result of such a function depends only on (seed, draw), on the purpose and on earlier calls.

    Args:
        seed: See :func:`random_states`.
        draws: See :func:`random_states`.
        purpose: See :func:`random_states`.

    Raises:
        ValueError: see :func:`random_states`.
    """

    def of(state: np.random.RandomState) -> Callable[[int], Tensor]:
        return lambda n: torch.from_numpy(state.permutation(n))

    return [of(state) for state in random_states(seed, draws, purpose)]


def check_size(size: Sequence[int], smallest: int = 1) -> tuple[int, int, int]:
    """Check ``size`` (D, H, W) and return it as a tuple.

    Raises:
        ValueError: not three sizes of at least ``smallest`` voxels.
    """
    if len(size) != 3 or min(size) < smallest:
        raise ValueError(f"size must be (D, H, W) with at least {smallest} voxels along each axis, got {tuple(size)}.")
    depth, height, width = size
    return depth, height, width


def to_device(device: str | torch.device | None, non_blocking: bool, *volumes: Tensor) -> tuple[Tensor, ...]:
    """Return volumes as float32 on a device; with None they stay on their device."""
    return tuple(volume.to(device, torch.float32, non_blocking=non_blocking) for volume in volumes)
