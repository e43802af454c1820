"""Tokens as volumes in the geometry of their scan, and the structures that they fall into."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import TransformBackends
from scipy.cluster.vq import kmeans2
from torch import Tensor

NEIGHBOURHOOD = 3  # tokens along an axis
ITERATIONS = 50  # of k-means


class TokenGridd(MapTransform):
    """Gives maps of tokens unit length and the affine of their own grid.

    A window's average has not quite unit length; and a map comes from the network without a place. The image must be a
    whole number of cells along each axis, as after ``DivisiblePadd``.

    Args:
        keys: Of the maps (C, d, h, w).
        image: Key of the image (1, D, H, W) that they are of.
        allow_missing_keys: Leave out a key that is not there.

    Raises:
        ValueError: in a call, an image that is no whole number of cells.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (MONAI's attribute)

    def __init__(self, keys: KeysCollection, image: str = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.image = image

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the maps as MetaTensors."""
        result, image = dict(data), data[self.image]
        for key in self.key_iterator(result):
            tokens = torch.as_tensor(result[key])
            cell = cell_size(image.shape[1:], tokens.shape[1:])
            placing = torch.eye(4, dtype=image.affine.dtype)
            placing[:3, :3] = torch.diag(torch.tensor(cell, dtype=placing.dtype))
            placing[:3, 3] = torch.tensor([(length - 1) / 2 for length in cell])
            meta = {name: value for name, value in image.meta.items() if name != "spatial_shape"}
            meta["affine"] = image.affine.cpu() @ placing
            result[key] = MetaTensor(F.normalize(tokens, dim=0), meta=meta)
        return result


class StructureMapd(MapTransform):
    """Groups the tokens of each scan into structures, and colours them by their principal components.

    See :func:`structure_map` and :func:`component_colours`. The numbers of the structures of two scans have nothing to
    do with each other: each is grouped on its own.

    Args:
        keys: Of the maps of tokens (C, d, h, w).
        image: Key of the image (1, D, H, W) that they are of.
        structures: How many, from 2 to 254.
        structures_key: Of the label map (1, D, H, W), uint8, from 1.
        colours_key: Of the colours (3, D, H, W), in [0, 1].
        allow_missing_keys: Leave out a key that is not there.

    Raises:
        ValueError: another number of structures; in a call, an image that is no whole number of cells.
    """

    backend = [TransformBackends.TORCH]  # noqa: RUF012 (MONAI's attribute)

    def __init__(
        self,
        keys: KeysCollection,
        image: str = "image",
        structures: int = 8,
        structures_key: str = "structures",
        colours_key: str = "colours",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not 2 <= structures <= 254:
            raise ValueError(f"structures must be from 2 to 254, got {structures}.")
        self.image = image
        self.structures = structures
        self.structures_key, self.colours_key = structures_key, colours_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the label map and the colours of the last key added."""
        result, image = dict(data), data[self.image]
        for key in self.key_iterator(result):
            tokens = torch.as_tensor(result[key]).float().cpu()
            cell = cell_size(image.shape[1:], tokens.shape[1:])
            labels = structure_map(tokens, cell, self.structures)
            for name, volume in ((self.structures_key, labels), (self.colours_key, component_colours(tokens, cell))):
                result[name] = MetaTensor(volume, meta=dict(image.meta))
        return result


def structure_map(tokens: Tensor, cell: tuple[int, int, int], structures: int, average: bool = True) -> Tensor:
    """Label map (1, D, H, W), uint8, 1 to ``structures`` from large to small, of tokens that are alike.

    Each token is first averaged with its neighbours, weighted by how alike they are: the token of a large structure is
    joined to it, that of a border stays on its side. K-means groups the averages. A voxel belongs to the structure
    whose centre is nearest to the tokens around it, interpolated.

    Args:
        tokens: (C, d, h, w), unit-norm.
        cell: Voxels of a token along each axis.
        structures: How many; fewer come out where fewer tokens differ.
        average: With the neighbours; not for vectors of another kind, whose cosines mean nothing.

    Source: after the structure-level consistency of S2DC (arXiv:2507.02581), which weighs tokens by their similarity to
    their surroundings; the grouping is ours.
    """
    averaged = neighbourhood_average(tokens) if average else tokens
    samples = averaged.flatten(1).T.double().numpy()  # (N, C)
    centres, _ = kmeans2(samples, min(structures, len(samples)), iter=ITERATIONS, minit="++", rng=0, missing="warn")
    centre = torch.from_numpy(centres).float()  # (K, C)
    # |t - c|² = |t|² - 2 (t · c - |c|²/2): what is maximised is linear in t, so that it is interpolated in t's place.
    score = torch.einsum("kc,cdhw->kdhw", centre, averaged) - centre.square().sum(1).view(-1, 1, 1, 1) / 2
    nearest = F.interpolate(score[None], scale_factor=cell, mode="trilinear", align_corners=False)[0].argmax(0)
    size = torch.bincount(nearest.flatten(), minlength=len(centre))
    return (size.argsort(descending=True).argsort()[nearest] + 1)[None].to(torch.uint8)


def neighbourhood_average(tokens: Tensor) -> Tensor:
    """Tokens (C, d, h, w), each averaged with its neighbours in proportion to their cosine, where positive."""
    side = NEIGHBOURHOOD // 2
    padded = F.pad(tokens, [side] * 6)  # beyond the border: zeros, of cosine 0
    total = torch.zeros_like(tokens)
    for shift in torch.cartesian_prod(*[torch.arange(NEIGHBOURHOOD)] * 3).tolist():
        depth, height, width = (slice(start, start + n) for start, n in zip(shift, tokens.shape[1:], strict=True))
        neighbour = padded[:, depth, height, width]
        total += (tokens * neighbour).sum(0).clamp(min=0) * neighbour
    return F.normalize(total, dim=0)


def component_colours(tokens: Tensor, cell: tuple[int, int, int]) -> Tensor:
    """Colours (3, D, H, W) in [0, 1]: the first three principal components of tokens (C, d, h, w), interpolated."""
    samples = tokens.flatten(1).T  # (N, C)
    samples = samples - samples.mean(0)
    _, _, axes = torch.linalg.svd(samples, full_matrices=False)
    axes = axes[:3] * axes[:3].gather(1, axes[:3].abs().argmax(1, keepdim=True)).sign()  # the same sign on each run
    components = F.pad(samples @ axes.T, [0, 3 - len(axes)])  # (N, 3)
    low, high = components.quantile(0.02, dim=0), components.quantile(0.98, dim=0)
    colours = ((components - low) / (high - low).clamp(min=1e-6)).clamp(0, 1).T.unflatten(1, tokens.shape[1:])
    return F.interpolate(colours[None], scale_factor=cell, mode="trilinear", align_corners=False)[0]


def cell_size(image: torch.Size, tokens: torch.Size) -> tuple[int, int, int]:
    """Voxels of a cell along D, H, W.

    Raises:
        ValueError: the image is no whole number of cells.
    """
    if any(length % count for length, count in zip(image, tokens, strict=True)):
        raise ValueError(
            f"An image of {tuple(image)} voxels is no whole number of cells for a grid of {tuple(tokens)} tokens. Pad "
            "it by DivisiblePadd to a multiple of the network's coarsest stride."
        )
    depth, height, width = (length // count for length, count in zip(image, tokens, strict=True))
    return depth, height, width
