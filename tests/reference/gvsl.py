"""GVSL as its release computes it, in plain code of our own: what golden values pin and what speed is compared with.

Written from a description of the method. The network is the product's; its samplers are the release's,
each with its own convention:

- The rows of a matrix are D, H, W where its translation is divided by the volume's size, and W, H, D where torch reads
  them. One unit of translation moves half a voxel.
- A displacement field is read at ``(p + flow) · size / (size - 1) - 1/2``, so that a zero field magnifies.

What the release draws comes here as a numpy ``RandomState`` (its global stream) and as a tensor of noise.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl3d.geometry import affine_matrix
from ssl3d.methods import GVSL

SHUFFLED_BOXES = 5000
PAINTED_BOXES = 30
CURVE_SAMPLES = 100_000


class Prediction(NamedTuple):
    """What the network makes of a pair: ``matrix (B, 3, 4)``, ``flow (B, 3, D, H, W)``, images ``(B, 1, D, H, W)``."""

    matrix: Tensor
    flow: Tensor
    warped: Tensor
    restored: Tensor


# --- samplers ---------------------------------------------------------------------------------------------------------


def affine_grid(matrix: Tensor, shape: torch.Size) -> Tensor:
    """Torch's sampling grid (B, D, H, W, 3) of a matrix (B, 3, 4) whose translation is divided by (D, H, W)."""
    size = torch.tensor(shape[2:], dtype=matrix.dtype)
    theta = torch.cat([matrix[:, :, :3], matrix[:, :, 3:] / size[:, None]], dim=2)
    return F.affine_grid(theta, list(shape), align_corners=False)


def warp_affine(image: Tensor, matrix: Tensor, mode: str = "bilinear") -> Tensor:
    """The release's affine sampler of volumes (B, C, D, H, W)."""
    grid = affine_grid(matrix, image.shape)
    return F.grid_sample(image, grid, mode=mode, padding_mode="zeros", align_corners=False)


def warp_flow(image: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """The release's sampler by a displacement field (B, 3, D, H, W) in voxels, channels D, H, W.

    Positions are scaled for corners aligned and read as if they were not.
    """
    axes = [torch.arange(side, dtype=flow.dtype) for side in image.shape[2:]]
    positions = torch.stack(torch.meshgrid(axes, indexing="ij")) + flow
    scaled = [2 * (positions[:, axis] / (side - 1) - 0.5) for axis, side in enumerate(image.shape[2:])]
    grid = torch.stack(scaled[::-1], dim=-1)  # (B, D, H, W, 3) in the order W, H, D
    return F.grid_sample(image, grid, mode=mode, padding_mode="zeros", align_corners=False)


# --- network and losses -----------------------------------------------------------------------------------------------


def forward(method: GVSL, corrupted: Tensor, moving: Tensor, detach_affine: bool = True) -> Prediction:
    """The release's forward pass: two warps of features and image, the affine map without gradient.

    Args:
        method: with a backbone of stem stride 1, as the release's is.
        corrupted, moving: (B, 1, D, H, W).
        detach_affine: cut the gradient at the matrix, as the release does by an oversight.
    """
    head = method.student.head
    fixed_features, moving_features = method.student.backbone(corrupted), method.student.backbone(moving)
    matrix = head.affine(moving_features.encoder[-1], fixed_features.encoder[-1]).to(corrupted)
    if detach_affine:
        matrix = matrix.detach()
    fine = fixed_features.decoder[-1]
    flow = head.flow(warp_affine(moving_features.decoder[-1], matrix), fine)
    warped = warp_flow(warp_affine(moving, matrix), flow)
    return Prediction(matrix, flow, warped, method.restoration(fine))


def losses(prediction: Prediction, fixed: Tensor) -> dict[str, Tensor]:
    """The three parts of the release's loss, each of weight 1; ``fixed`` (B, 1, D, H, W) is the clean target."""
    return {
        "ncc": 1 - local_ncc(prediction.warped, fixed).mean(),
        "restoration": (prediction.restored - fixed).square().mean(),
        "smoothness": sum(prediction.flow.diff(dim=axis).square().mean() for axis in (2, 3, 4)) / 3,
    }


def local_ncc(first: Tensor, second: Tensor, window: int = 9, eps: float = 1e-5) -> Tensor:
    """Squared correlation in a cubic window around each voxel, by full 3D convolutions and without bounds."""
    box = torch.ones(1, 1, window, window, window, dtype=first.dtype)

    def total(volume: Tensor) -> Tensor:
        return F.conv3d(volume, box, padding=window // 2)

    sum_first, sum_second = total(first), total(second)
    cross = total(first * second) - sum_first * sum_second / box.numel()
    var_first = total(first.square()) - sum_first.square() / box.numel()
    var_second = total(second.square()) - sum_second.square() / box.numel()
    return cross.square() / (var_first * var_second + eps)


def released_parameters(method: GVSL) -> Iterator[tuple[str, torch.nn.Parameter]]:
    """Our parameters at the published width with the release's names, in the release's order."""
    head = method.student.head
    parts = [
        ("f_conv.double_conv.", head.affine.trunk),
        ("sp_conv.double_conv.", head.flow.trunk),
        ("res_conv.", method.restoration),
        ("out_flow.", head.flow.flow),
        ("fc_rot.", head.affine.rotation),
        ("fc_scl.", head.affine.scale),
        ("fc_trans.", head.affine.translation),
        ("fc_shear.", head.affine.shear),
    ]
    levels = ["inc.", *(f"down{i}.maxpool_conv.1." for i in (1, 2, 3, 4)), *(f"up{i}.conv." for i in (1, 2, 3, 4))]
    blocks = [*method.student.backbone.encoder, *method.student.backbone.decoder]
    for level, block in zip(levels, blocks, strict=True):
        yield from ((f"unet.{level}double_conv.{name}", value) for name, value in block.named_parameters())
    for prefix, module in parts:
        yield from ((prefix + name, value) for name, value in module.named_parameters())


# --- spatial augmentation ---------------------------------------------------------------------------------------------


def gaussian_kernel(sigma: float) -> Tensor:
    """Samples of a Gaussian to four standard deviations, float64, of sum 1."""
    radius = int(4 * sigma + 0.5)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
    return kernel / kernel.sum()


def elastic_displacement(noise: Tensor, alpha: float, sigma: float) -> Tensor:
    """Noise (1, 3, D, H, W) in [-1, 1], filtered along D, H and W with zeros outside, times ``alpha``: voxels."""
    kernel = gaussian_kernel(sigma).to(noise.dtype)
    field = noise.transpose(0, 1)  # components as a batch of one-channel volumes
    for axis in range(3):
        shape, padding = [1, 1, 1, 1, 1], [0, 0, 0]
        shape[axis + 2], padding[axis] = len(kernel), len(kernel) // 2
        field = F.conv3d(field, kernel.view(shape), padding=padding)
    return alpha * field.transpose(0, 1)


def centred_mesh(size: tuple[int, int, int]) -> Tensor:
    """Voxel coordinates (1, 3, D, H, W) about the volume's centre, float32."""
    axes = [torch.arange(side) - (side - 1) / 2 for side in size]
    return torch.stack(torch.meshgrid(axes, indexing="ij"))[None]


def spatial_parameters(
    size: tuple[int, int, int],
    uniform: Callable[[float, float], float],
    noise: Callable[[tuple[int, ...]], Tensor] = torch.rand,
) -> tuple[Tensor, Tensor]:
    """Matrix (1, 3, 4) and displacement (1, 3, D, H, W) of one augmentation, float32.

    Args:
        size: (D, H, W) in voxels.
        uniform: draws from an interval, such as ``numpy.random.uniform``.
        noise: draws from [0, 1), given a shape.
    """
    rotation = [uniform(-math.pi / 9, math.pi / 9) for _ in range(3)]
    scale = [uniform(0.75, 1.25) for _ in range(3)]
    shear = [uniform(-math.pi / 18, math.pi / 18) for _ in range(6)]
    translation = [uniform(-0.1, 0.1) * side for side in size]
    alpha, sigma = uniform(0, 512), uniform(10, 13)
    matrix = affine_matrix(*(torch.tensor([values]) for values in (rotation, scale, translation, shear)))
    flow = elastic_displacement(2 * noise((1, 3, *size)) - 1, alpha, sigma)
    # What is left of centring the coordinates and of moving them back by whole voxels.
    shift = torch.tensor([side // 2 - (side - 1) / 2 for side in size])
    return matrix, flow + shift.view(1, 3, 1, 1, 1)


def augment_spatially(image: Tensor, matrix: Tensor, flow: Tensor) -> Tensor:
    """The affine warp, then that of the field."""
    return warp_flow(warp_affine(image, matrix), flow)


# --- appearance augmentation ------------------------------------------------------------------------------------------


def augment_appearance(image: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Shuffling, intensity map and painting, one after the other, of an image (C, D, H, W) in [0, 1]."""
    return paint_boxes(map_intensities(shuffle_boxes(image, rng), rng.random_sample), rng)


def shuffle_boxes(image: np.ndarray, rng: np.random.RandomState, probability: float = 0.8) -> np.ndarray:
    """Permute the voxels of 5000 boxes of a twentieth of the volume, by one permutation; later boxes overwrite."""
    if rng.random_sample() >= probability:
        return image
    edge = [side // 20 for side in image.shape[1:]]
    corners = np.stack(
        [rng.randint(0, side - e, SHUFFLED_BOXES) for side, e in zip(image.shape[1:], edge, strict=True)]
    )
    boxes = [tuple(slice(c, c + e) for c, e in zip(corner, edge, strict=True)) for corner in corners.T]
    contents = np.stack([image[0][box].ravel() for box in boxes])  # (5000, voxels of a box), before anything is written
    rng.shuffle(contents.T)
    shuffled = image.copy()
    for box, content in zip(boxes, contents, strict=True):
        shuffled[0][box] = content.reshape(edge)
    return shuffled


def bezier_curve(points: np.ndarray, samples: int = CURVE_SAMPLES) -> tuple[np.ndarray, np.ndarray]:
    """Abscissas and ordinates of the cubic Bézier curve of points (4, 2), from the last point to the first."""
    t = np.linspace(1, 0, samples)
    weights = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    x, y = np.asarray(points, dtype=np.float64).T @ weights
    return x, y


def map_intensities(image: np.ndarray, random: Callable[[], float], probability: float = 0.9) -> np.ndarray:
    """Map intensities by a Bézier curve whose abscissas and ordinates are sorted apart, so that it increases."""
    if random() >= probability:
        return image
    control = [[random(), random()] for _ in range(2)]
    x, y = bezier_curve(np.array([[0, 0], *control, [1, 1]]))
    return np.interp(image, np.sort(x), np.sort(y))


def paint_boxes(image: np.ndarray, rng: np.random.RandomState, probability: float = 0.95) -> np.ndarray:
    """Fill up to 30 boxes of a tenth to a fifth of the volume with uniform noise."""
    painted = image.copy()
    for _ in range(PAINTED_BOXES):
        if rng.random_sample() >= probability:
            break
        edge = [rng.randint(side // 10, side // 5) for side in image.shape[1:]]
        corner = [rng.randint(3, side - e - 3) for side, e in zip(image.shape[1:], edge, strict=True)]
        box = tuple(slice(c, c + e) for c, e in zip(corner, edge, strict=True))
        painted[(slice(None), *box)] = rng.random_sample(edge)
    return painted
