"""Select among the tokens of two views of a volume by their places in mm."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .masked_mean import at_least_float32

CHUNK = 256  # number of points whose distances to all others are in memory at once

Permutation = Callable[[int], Tensor]


class Tokens(NamedTuple):
    """The valid tokens of both views of a volume, those of the first view first.

    Attributes:
        features: (n, E).
        points: (n, 3), mm.
        view: (n), 0 or 1.
    """

    features: Tensor
    points: Tensor
    view: Tensor

    def of_view(self, number: int) -> Tensor:
        """Return the indices of the tokens of a view."""
        return (self.view == number).nonzero()[:, 0]


class Contrast(NamedTuple):
    """Tokens with which A anchors are compared, as indices of the tokens of a volume.

    Attributes:
        anchors, positives: (A).
        negatives: (A, K).
        allowed: (A, K), False in surplus entries if an anchor has fewer than K negatives.
        others: (G), indices of tokens of other volumes, negatives of all anchors.
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor
    allowed: Tensor
    others: Tensor


def cells(coordinates: Tensor, valid: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the centres of the cells of a coarser grid, and the cells of which at least half is valid.

    Nothing is read at invalid voxels, so a cell with an invalid voxel next to its centre is not valid either.

    Args:
        coordinates: (V, 2, 3, D0, H0, W0), mm.
        valid: (V, 2, 1, D0, H0, W0).
        size: (D, H, W) of the coarser grid.

    Returns:
        (V, 2, n, 3) and (V, 2, n), bool; n = D · H · W.
    """
    views, size = coordinates.shape[:2], list(size)
    mask = valid.flatten(0, 1) > 0
    coordinates = at_least_float32(coordinates).flatten(0, 1).masked_fill(~mask, 0)
    share = mask.to(coordinates)
    centres = F.interpolate(coordinates, size, mode="trilinear", align_corners=False)  # (2V, 3, D, H, W)
    read = F.interpolate(share, size, mode="trilinear", align_corners=False) > 1 - 1e-4
    filled = F.adaptive_avg_pool3d(share, (size[0], size[1], size[2])) >= 0.5
    centres = centres.flatten(2).transpose(1, 2)
    return centres.unflatten(0, views), (read & filled).flatten(1).unflatten(0, views)


def volume_tokens(features: Tensor, points: Tensor, valid: Tensor) -> Tokens:
    """Return the valid tokens of a volume.

    Args:
        features: (2, E, D, H, W).
        points: (2, n, 3).
        valid: (2, n), bool.
    """
    views = torch.arange(2, device=valid.device)[:, None].expand_as(valid)
    return Tokens(features.flatten(2).transpose(1, 2)[valid], points[valid], views[valid])


def upsampled(coarse: Tensor, valid: Tensor, size: Sequence[int]) -> Tensor:
    """Interpolate the valid (2, n) coarse vectors (2, E, d, h, w) to a grid of ``size``, and scale them to norm 1."""
    coarse = coarse * valid.view(2, 1, *coarse.shape[2:])
    return F.normalize(F.interpolate(coarse, list(size), mode="trilinear", align_corners=False), dim=1)


def distances(points: Tensor, others: Tensor) -> Tensor:
    """Return the distances (n, m) in mm. They avoid a matrix product, whose rounding errors reach 0.1 mm."""
    return torch.cdist(points, others, compute_mode="donot_use_mm_for_euclid_dist")


def nearest(points: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance (n) in mm to the nearest of ``others`` (m, 3), and its index (n)."""
    found = [distances(some, others).min(dim=1) for some in points.split(CHUNK)]
    return torch.cat([minimum.values for minimum in found]), torch.cat([minimum.indices for minimum in found])


def hardest(score: Tensor, allowed: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the indices (A, K) of the highest of ``score`` (A, n), K at most ``count``, and which are allowed.

    ``score`` is overwritten.
    """
    chosen = highest(score.masked_fill_(~allowed, -torch.inf), count)
    allowed = allowed.gather(1, chosen)
    most = int(allowed.sum(dim=1).max()) if len(allowed) else 0  # forbidden ones come last
    return chosen[:, :most], allowed[:, :most]


def highest(score: Tensor, count: int) -> Tensor:
    """Return the columns (A, K) of the highest values of each row of ``score`` (A, n), in descending order.

    K is ``count``, or n if less. If n is many times ``count``, only the ``count`` classes of columns (columns that are
    ``n // parts`` apart) with the highest maxima are compared, because these classes hold all of the highest values.
    """
    rows, n = score.shape
    parts = math.isqrt(n // count)  # for the fewest values to compare: n / parts classes, then count · parts columns
    if parts < 2:
        return score.topk(min(count, n), dim=1).indices
    step = n // parts
    classes = score[:, : parts * step].unflatten(1, (parts, step)).amax(dim=1).topk(count, dim=1, sorted=False).indices
    columns = classes[:, None] + step * torch.arange(parts, device=score.device)[:, None]  # (A, parts, count)
    rest = torch.arange(parts * step, n, device=score.device).expand(rows, -1)
    columns = torch.cat([columns.flatten(1), rest], dim=1)
    return columns.gather(1, score.gather(1, columns).topk(count, dim=1).indices)


def subset(n: int, count: int, permutation: Permutation, device: torch.device) -> Tensor:
    """Choose ``count`` of n indices at random, or all if there are fewer."""
    return permutation(n)[:count].to(device)


def cross_entropy(features: Tensor, contrasts: Sequence[Contrast], others: Tensor, temperature: float) -> Tensor:
    """Return the mean over the anchors of ``-log softmax`` of the similarity to the positive; 0 without anchors.

    Args:
        features: (n, E), tokens of the volume.
        contrasts: Anchors with their positives and negatives.
        others: (m, E), tokens of other volumes.
        temperature: Divisor of the similarities.
    """
    losses = [features.new_zeros(0)]
    for contrast in contrasts:
        anchors = features[contrast.anchors]  # (A, E)
        positive = (anchors * features[contrast.positives]).sum(dim=1, keepdim=True)  # (A, 1)
        negative = torch.einsum("ae,ake->ak", anchors, features[contrast.negatives])
        negative = negative.masked_fill(~contrast.allowed, -torch.inf)
        logits = torch.cat([positive, negative, anchors @ others[contrast.others].T], dim=1) / temperature
        losses.append(logits.logsumexp(dim=1) - logits[:, 0])
    total = torch.cat(losses)
    return total.mean() if len(total) else features.sum() * 0
