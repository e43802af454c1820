"""Make randomness a function of (seed, draw): equal items for any number of workers or processes, and after a resume.

Draw numbers count the items that a whole training run sees, over all processes. Epoch e (counted from 1, as in Ignite)
covers ``epoch_length * batch_size * processes`` of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Sized

import numpy as np
import torch.distributed as dist
from monai.data import get_track_meta, set_track_meta
from torch.utils.data import DistributedSampler

from .cache import PreparedDataset, plain


def draw_seed(seed: int, draw: int) -> int:
    """Return the 32-bit seed of everything that is random in one draw."""
    return int(np.random.SeedSequence([seed, draw]).generate_state(1)[0])


class DrawSampler(DistributedSampler):
    """Sampler of draw numbers for a ``DrawDataset``; a process gets those with ``draw % processes == rank``, in order.

    It is a ``DistributedSampler`` so that MONAI's engines call ``set_epoch``, even with one process. A resumed run
    continues at the epoch it has reached.

    Args:
        dataset: Data set with at least one item.
        batch_size: Batch size of one process.
        epoch_length: Number of batches of one process in an epoch.
        num_replicas, rank: Number of processes, and index of this process; None: from ``torch.distributed`` if it is
            initialised, else 1 and 0.

    Raises:
        ValueError: an empty data set, a size below 1, a rank outside the processes.
    """

    def __init__(
        self,
        dataset: Sized,
        *,
        batch_size: int,
        epoch_length: int,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        if len(dataset) < 1:
            raise ValueError("There is nothing to draw from: the data set is empty.")
        if batch_size < 1 or epoch_length < 1:
            raise ValueError(f"batch_size and epoch_length must be at least 1, got {batch_size} and {epoch_length}.")
        distributed = dist.is_available() and dist.is_initialized()
        if num_replicas is None:
            num_replicas = dist.get_world_size() if distributed else 1
        if rank is None:
            rank = dist.get_rank() if distributed else 0
        super().__init__(dataset, num_replicas, rank, shuffle=False)  # type: ignore[arg-type]
        self.num_samples = batch_size * epoch_length
        self.total_size = self.num_samples * num_replicas
        self.set_epoch(1)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 1, that the next iteration covers.

        Raises:
            ValueError: ``epoch`` is below 1.
        """
        if epoch < 1:
            raise ValueError(f"Epochs count from 1, got {epoch}.")
        super().set_epoch(epoch)

    def __iter__(self) -> Iterator[int]:
        end = self.epoch * self.total_size
        return iter(range(end - self.total_size + self.rank, end, self.num_replicas))


class DrawDataset(PreparedDataset):
    """A ``PreparedDataset`` whose index is a draw number: ``dataset[draw]`` is a function of (seed, draw) alone.

    Every pass over the n items is a permutation of its own. Before an item goes through the random transforms, their
    states are set from (seed, draw). The item holds the draw number as ``draw``, from which the views are drawn later.
    This works for MONAI's random transforms, but not for transforms that read the global generators of torch or numpy.

    ``len()`` is the number of items, and plain iteration covers the first pass.

    Args:
        data, transform, cache_dir: See ``PreparedDataset``.
        seed: Seed of the run.

    Raises:
        IndexError: on access, when the draw is negative.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Sequence[Callable] | Callable,
        cache_dir: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(data, transform, cache_dir)
        self.seed = seed

    def index(self, draw: int) -> int:
        """Return the index of the item that belongs to ``draw``."""
        if draw < 0:
            raise IndexError(f"Draws count from 0, got {draw}.")
        number, position = divmod(draw, len(self))
        return int(_permutation(self.seed, number, len(self))[position])

    def __iter__(self) -> Iterator[Any]:
        return (self[draw] for draw in range(len(self)))

    def _transform(self, index: int) -> Any:
        draw = int(index)
        item = {**self._cachecheck(self.data[self.index(draw)]), "draw": draw}
        return self._at_random(item)

    def _at_random(self, item: dict[str, Any]) -> Any:
        """Apply the random transforms to ``item``, with states set from (seed, draw)."""
        self.transform.set_random_state(seed=draw_seed(self.seed, item["draw"]))
        tracked = get_track_meta()
        set_track_meta(False)  # items are plain tensors; metadata would cost a third of the time for nothing
        try:
            return plain(self._post_transform(item))
        finally:
            set_track_meta(tracked)


@lru_cache(maxsize=4)
def _permutation(seed: int, number: int, n: int) -> np.ndarray:
    """Return the order (n,) of the items in a pass, from RandomState, whose stream numpy promises to keep."""
    state = np.random.SeedSequence([seed, number], spawn_key=(1,)).generate_state(4)
    return np.random.RandomState(state).permutation(n)
