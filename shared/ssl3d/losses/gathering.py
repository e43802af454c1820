"""Gather samples of all processes, for losses that compare samples of a batch."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather


def gather_batch(batch: Tensor) -> tuple[Tensor, int, int]:
    """Gather the batches of all processes into one, in the order of their draws.

    Differentiable: together with the mean of the gradients over the processes, which ``DistributedDataParallel`` takes,
    a loss that is a mean over its own items gives the gradient of one process with the whole batch.

    Args:
        batch: ``(B, ...)``, of the same shape in all processes. Draws are distributed in turn, see ``DrawSampler``.

    Returns:
        ``(processes · B, ...)``, the index of this process's first item, and the step between its items.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return batch, 0, 1
    processes = dist.get_world_size()
    return torch.stack(all_gather(batch.contiguous()), dim=1).flatten(0, 1), dist.get_rank(), processes
