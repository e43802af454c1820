"""Two processes give the losses, gradients and centres of one with the doubled batch."""

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F

from ssl3d.losses import AnatomicalEmbeddingLoss, SelfDistillationLoss

VOLUMES = 4
SETTINGS = {"global_negatives": 7, "permutation": torch.arange, "z_axis": 2}


def embeddings():
    generator = torch.Generator().manual_seed(0)
    fine, coarse = (torch.randn(VOLUMES, 2, 4, n, n, n, generator=generator) for n in (4, 2))
    grid = torch.stack(torch.meshgrid([2.0 * torch.arange(8)] * 3, indexing="ij"))
    coordinates = torch.stack([grid, grid + 3]).expand(VOLUMES, 2, 3, 8, 8, 8)
    return F.normalize(fine, dim=2), F.normalize(coarse, dim=2), coordinates, torch.ones(VOLUMES, 2, 1, 8, 8, 8)


def contrast(volumes):
    """Losses of some volumes, and the gradient of their sum to the coarse vectors of these."""
    fine, coarse, *rest = (tensor[volumes] for tensor in embeddings())
    losses = AnatomicalEmbeddingLoss(**SETTINGS)(fine, coarse.requires_grad_(), *rest)
    sum(losses.values()).backward()
    return torch.stack(list(losses.values())).detach(), coarse.grad


def center(rows):
    teacher = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))[rows]
    loss = SelfDistillationLoss(6)
    valid = torch.tensor([1, 1, 1, 0, 1, 1, 1, 1])[rows]
    loss(teacher, teacher, teacher_temperature=1.0, valid=valid)
    return loss.center


def one_process(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save((*contrast(slice(rank, None, 2)), center(slice(4 * rank, 4 * rank + 4))), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    mp.spawn(one_process, args=(str(tmp_path),), nprocs=2)
    halves = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    losses, gradient = contrast(slice(None))
    torch.testing.assert_close(sum(half[0] for half in halves) / 2, losses)
    for rank, half in enumerate(halves):
        torch.testing.assert_close(half[1] / 2, gradient[rank::2])  # DistributedDataParallel takes the mean
        torch.testing.assert_close(half[2], center(slice(None)))
