"""Group tokens into structures, and bring tokens and structures to the geometry of their scan."""

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
ITERATIONS = 50  # iterations of k-means


class TokenGridd(MapTransform):
    """Scale the vectors of token maps to unit length, and add the affine of their grid.

    Averages over windows do not have exactly unit length, and maps come from the network without an affine. The image
    must be a whole number of cells along each axis, as after ``DivisiblePadd``.

    Args:
        keys: Keys of the maps (C, d, h, w).
        image: Key of the image (1, D, H, W) from which the maps were made.
        allow_missing_keys: Whether to ignore missing keys.

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
    """Group the tokens of each scan into structures, and colour them by their principal components.

    See :func:`structure_map` and :func:`component_colours`. Each scan is grouped on its own, so equal numbers in two
    scans do not mean the same structure.

    Args:
        keys: Keys of the token maps (C, d, h, w).
        image: Key of the image (1, D, H, W) from which the maps were made.
        structures: Number of structures, from 2 to 254.
        structures_key: Key of the resulting label map (1, D, H, W), uint8, from 1.
        colours_key: Key of the resulting colours (3, D, H, W), in [0, 1].
        allow_missing_keys: Whether to ignore missing keys.

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
    """Group similar tokens to a label map (1, D, H, W), uint8, with numbers 1 to ``structures`` from large to small.

    Each token is first averaged with its neighbours, weighted by their similarity. This merges tokens within a large
    structure, and keeps tokens at a border on their side. K-means groups the averages. A voxel belongs to the structure
    whose centre is nearest to the interpolated tokens around the voxel.

    Args:
        tokens: (C, d, h, w), unit-norm.
        cell: Voxels of a token along each axis.
        structures: Number of structures; the result has fewer if fewer tokens differ.
        average: Whether to average with the neighbours; false for vectors whose cosines have no meaning.

    Source: after the structure-level consistency of S2DC (arXiv:2507.02581), which weighs tokens by their similarity to
    their surroundings. The grouping is not part of the publication.
    """
    averaged = neighbourhood_average(tokens) if average else tokens
    samples = averaged.flatten(1).T.double().numpy()  # (N, C)
    centres, _ = kmeans2(samples, min(structures, len(samples)), iter=ITERATIONS, minit="++", rng=0, missing="warn")
    centre = torch.from_numpy(centres).float()  # (K, C)
    # |t - c|² = |t|² - 2 (t · c - |c|²/2): the bracket is linear in t, so it can be interpolated instead of t.
    score = torch.einsum("kc,cdhw->kdhw", centre, averaged) - centre.square().sum(1).view(-1, 1, 1, 1) / 2
    nearest = F.interpolate(score[None], scale_factor=cell, mode="trilinear", align_corners=False)[0].argmax(0)
    size = torch.bincount(nearest.flatten(), minlength=len(centre))
    return (size.argsort(descending=True).argsort()[nearest] + 1)[None].to(torch.uint8)


def neighbourhood_average(tokens: Tensor) -> Tensor:
    """Average each of the tokens (C, d, h, w) with its neighbours, weighted by their cosines if positive."""
    side = NEIGHBOURHOOD // 2
    padded = F.pad(tokens, [side] * 6)  # zeros beyond the border have cosine 0
    total = torch.zeros_like(tokens)
    for shift in torch.cartesian_prod(*[torch.arange(NEIGHBOURHOOD)] * 3).tolist():
        depth, height, width = (slice(start, start + n) for start, n in zip(shift, tokens.shape[1:], strict=True))
        neighbour = padded[:, depth, height, width]
        total += (tokens * neighbour).sum(0).clamp(min=0) * neighbour
    return F.normalize(total, dim=0)


def component_colours(tokens: Tensor, cell: tuple[int, int, int]) -> Tensor:
    """Colour tokens (C, d, h, w) by their first three principal components; interpolated, (3, D, H, W) in [0, 1]."""
    samples = tokens.flatten(1).T  # (N, C)
    samples = samples - samples.mean(0)
    _, _, axes = torch.linalg.svd(samples, full_matrices=False)
    axes = axes[:3] * axes[:3].gather(1, axes[:3].abs().argmax(1, keepdim=True)).sign()  # the same sign on each run
    components = F.pad(samples @ axes.T, [0, 3 - len(axes)])  # (N, 3)
    low, high = components.quantile(0.02, dim=0), components.quantile(0.98, dim=0)
    colours = ((components - low) / (high - low).clamp(min=1e-6)).clamp(0, 1).T.unflatten(1, tokens.shape[1:])
    return F.interpolate(colours[None], scale_factor=cell, mode="trilinear", align_corners=False)[0]


def cell_size(image: torch.Size, tokens: torch.Size) -> tuple[int, int, int]:
    """Return the size of a cell in voxels along D, H, W.

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
