"""Keep a queue of embeddings of past crops, equal on all processes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses.gathering import gather_batch


class KeyQueue(nn.Module):
    """First-in-first-out queue of the last ``size`` keys, in the order of their draws, saved with the network.

    At first it holds random unit vectors, the same ones in every run.

    Args:
        size: Number of keys, a multiple of the batch over all processes.
        channels: Channels of a key.

    Raises:
        ValueError: a size below 1; when keys are added, a batch that does not divide it.

    Source: He et al., MoCo (arXiv:1911.05722), section 3.2.

    Example:
        >>> KeyQueue(4, 8).keys.shape
        torch.Size([4, 8])
    """

    keys: Tensor
    position: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"The queue must hold at least one key, got size {size}.")
        start = torch.randn(size, channels, generator=torch.Generator().manual_seed(0))
        self.register_buffer("keys", F.normalize(start, dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    def check_batch(self, count: int) -> None:
        """Check that batches of ``count`` keys, over all processes, fill the queue.

        Raises:
            ValueError: the size is no multiple of it.
        """
        if len(self.keys) % count:
            raise ValueError(
                f"The queue holds {len(self.keys)} keys, which is no multiple of the {count} items of a batch over all "
                "processes. Choose a queue_size that is."
            )

    @torch.no_grad()
    def add(self, keys: Tensor, draws: Tensor) -> None:
        """Replace the oldest keys.

        Args:
            keys: Shape ``(B, C)``, of all processes, see :func:`gathered`.
            draws: Shape ``(B,)``, their draw numbers: the keys enter in this order.
        """
        size, count = len(self.keys), len(keys)
        self.check_batch(count)
        places = (self.position + torch.arange(count, device=keys.device)) % size
        self.keys[places] = keys[draws.argsort()].to(self.keys)
        self.position.copy_((self.position + count) % size)


@torch.no_grad()
def gathered(values: Tensor) -> Tensor:
    """Gather ``values`` (B, ...) of all processes to (processes · B, ...), without gradient."""
    return gather_batch(values.detach())[0]
