"""Find points of one scan in another by the embeddings of both."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..geometry.world import apply_affine, sample_at, within

STRIDE = 2  # of the embedding maps, whose cell i has its centre at voxel 2 i + 1/2


class EmbeddedScan(NamedTuple):
    """A scan as the matching sees it.

    Attributes:
        embedding: (2 E, ⌈D/2⌉, ⌈H/2⌉, ⌈W/2⌉): fine and coarse unit vectors, of ``AnatomicalEmbeddingNet``.
        size: (D, H, W) in voxels.
        affine: (4, 4), from voxels to world coordinates in mm (RAS+), float64.
    """

    embedding: Tensor
    size: tuple[int, int, int]
    affine: Tensor


class Matches(NamedTuple):
    """Where N points were found.

    Attributes:
        points: (N, 3), mm, world coordinates of the searched scan (RAS+), float64.
        voxels: (N, 3), the same in its voxels (D, H, W).
        scores: (N), similarity in [-1, 1]; 1 for equal places.
    """

    points: Tensor
    voxels: Tensor
    scores: Tensor


@torch.no_grad()
def embed_scan(network: nn.Module, image: Tensor, affine: Tensor) -> EmbeddedScan:
    """Embed a scan as a whole.

    Args:
        network: An ``AnatomicalEmbeddingNet`` in eval mode.
        image: (C, D, H, W), prepared as the network was trained.
        affine: (4, 4), from voxels to mm.

    Raises:
        ValueError: another shape, or a scan that is empty: without voxels, of one value, or not finite.
    """
    if image.ndim != 4 or affine.shape != (4, 4):
        raise ValueError(
            f"A scan is an image (C, D, H, W) with an affine (4, 4), got {tuple(image.shape)} and "
            f"{tuple(affine.shape)}."
        )
    depth, height, width = image.shape[1:]
    if not image.numel() or not image.isfinite().all() or image.amin() == image.amax():
        raise ValueError(
            f"There is nothing to find in a scan of shape {tuple(image.shape)}: it has no voxels, one value everywhere "
            "or values that are not finite. Check the file and its intensity window."
        )
    return EmbeddedScan(network(image[None])[0], (depth, height, width), affine.double())


@torch.no_grad()
def match_points(query: EmbeddedScan, points: Tensor, searched: EmbeddedScan) -> Matches:
    """Find the best match of points of one scan in another.

    The vectors at a point are interpolated between the cells, and the best cell of the other scan is refined along each
    axis by the parabola through its similarity and its two neighbours'.

    Args:
        query: The scan with the points.
        points: (N, 3), mm, world coordinates of ``query`` (RAS+).
        searched: The scan to find them in, embedded by the same network.

    Raises:
        ValueError: another shape, embeddings of different lengths, or a point outside of its scan.

    Source: Yan et al. (arXiv:2012.02383), section III-C, without the rounding to voxels of the released code.
    """
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must have shape (N, 3), got {tuple(points.shape)}.")
    if len(query.embedding) != len(searched.embedding):
        lengths = len(query.embedding), len(searched.embedding)
        raise ValueError(f"Both scans must be embedded by one network, got {lengths[0]} and {lengths[1]} channels.")
    voxels = apply_affine(torch.linalg.inv(query.affine), points.double().T)  # (3, N)
    outside = ~within(voxels, query.size)
    if outside.any():
        number = int(outside.nonzero()[0])
        raise ValueError(
            f"Point {number} at {_text(points[number])} mm lies outside of its scan: voxel "
            f"{_text(voxels[:, number])} of {tuple(query.size)}. Points are world coordinates in mm, RAS+."
        )
    cells = searched.embedding.flatten(1)  # (2E, n)
    vectors = _vectors_at(query.embedding, voxels).to(cells)  # (2E, N)
    found, scores = [], []
    for vector in vectors.T:  # one at a time: a map of similarities of a whole scan each
        similarity = (vector @ cells / 2).view(searched.embedding.shape[1:])
        score, best = similarity.flatten().max(dim=0)
        index = torch.stack(torch.unravel_index(best.cpu(), similarity.shape))
        found.append(_refined(similarity, index))
        scores.append(score.cpu())
    places = torch.stack(found) if found else voxels.new_zeros(0, 3)
    end = torch.tensor(searched.size, dtype=torch.float64) - 1
    places = torch.minimum((STRIDE * places + (STRIDE - 1) / 2).clamp(min=0), end)  # (N, 3)
    return Matches(apply_affine(searched.affine, places.T).T, places, torch.stack(scores) if scores else torch.zeros(0))


def _vectors_at(embedding: Tensor, voxels: Tensor) -> Tensor:
    """Interpolate both unit vectors at voxels (3, N) between the cells: (2E, N)."""
    last = torch.tensor(embedding.shape[1:], dtype=torch.float64)[:, None] - 1
    cells = torch.minimum(((voxels - (STRIDE - 1) / 2) / STRIDE).clamp(min=0), last)
    vectors = sample_at(embedding, cells.to(embedding.device), exact=False)  # (2E, N)
    return torch.cat([F.normalize(half, dim=0) for half in vectors.chunk(2)])


def _refined(similarity: Tensor, index: Tensor) -> Tensor:
    """(3,) float64: the cell ``index`` of the maximum, moved to the peak of a parabola along each axis."""
    place = index.double()
    for axis, position in enumerate(index.tolist()):
        if 0 < position < similarity.shape[axis] - 1:
            line = similarity.movedim(axis, -1)[tuple(index[[other for other in range(3) if other != axis]].tolist())]
            before, peak, after = line[position - 1 : position + 2].tolist()
            bend = before - 2 * peak + after
            if bend < 0:
                place[axis] += (before - after) / (2 * bend)
    return place


def _text(values: Tensor) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in values.tolist()) + ")"
