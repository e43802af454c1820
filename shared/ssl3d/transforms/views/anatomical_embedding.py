"""Make the views of the anatomical embedding: two windows of each volume, with the place of every voxel in mm."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...data.batches import VolumeBatch
from ...geometry.warp import sample as read
from ..sampling import Draws, check_size, random_states, to_device
from .types import WindowViews


class WindowParameters(NamedTuple):
    """Parameters from :meth:`TwoWindows.sample` for B items of two windows, float32 on the CPU.

    Attributes:
        origin: (B, 2, 3), position of the window's first voxel in voxels of the volume.
        scale: (B, 2), side of a window's voxel in voxels of the volume.
        noise: (B, 2), standard deviation of the noise.
    """

    origin: Tensor
    scale: Tensor
    noise: Tensor


class TwoWindows:
    """Sampler of two windows of different zoom in a volume, most of which share a point.

    There is no rotation and no flip, because left and right must stay distinct.

    Args:
        roi_size: (D, H, W) of a window in voxels.
        zoom: Largest deviation from 1 of the side of a window's voxel, in voxels of the volume.
        sharing: Probability that both windows are placed around one random point; else they are independent.
        noise: Largest standard deviation of the Gaussian noise of a window.

    Raises:
        ValueError: a size below 1, a zoom outside [0, 1), no probability, a negative noise.

    Source: Yan et al. (arXiv:2012.02383), section III-B, and the released code.

    Example:
        >>> TwoWindows((16, 16, 16)).sample([0, 1], (24, 24, 24), seed=0).origin.shape
        torch.Size([2, 2, 3])
    """

    def __init__(
        self, roi_size: Sequence[int], *, zoom: float = 0.2, sharing: float = 0.8, noise: float = 0.02
    ) -> None:
        self.roi_size = check_size(roi_size)
        if not 0 <= zoom < 1:
            raise ValueError(f"zoom must lie in [0, 1), got {zoom}.")
        if not 0 <= sharing <= 1:
            raise ValueError(f"sharing is a probability in [0, 1], got {sharing}.")
        if not 0 <= noise < np.inf:
            raise ValueError(f"noise must be 0 or more, got {noise}.")
        self.zoom, self.sharing, self.noise = zoom, sharing, noise

    def sample(self, draws: Draws, size: Sequence[int], seed: int) -> WindowParameters:
        """Draw the windows of a batch for volumes of ``size`` (D, H, W).

        A window lies inside the volume if it fits, else the volume is centred in the window.

        Args:
            draws: (B,) draw numbers; each item's windows are a function of (seed, draw, size).
            size: (D, H, W) in voxels.
            seed: Seed of the run.

        Raises:
            ValueError: draws or sizes of another form.
        """
        last = np.array(check_size(size)) - 1.0
        items = [self._sample_item(state, last) for state in random_states(seed, draws, "two windows")]
        return WindowParameters(*(torch.from_numpy(np.stack(part)).float() for part in zip(*items, strict=True)))

    def positions(self, parameters: WindowParameters) -> Tensor:
        """Return the positions of the windows' voxels in voxels of the volume, (B, 2, 3, d, h, w), float32."""
        axes = [torch.arange(side, dtype=torch.float32) for side in self.roi_size]
        grid = torch.stack(torch.meshgrid(axes, indexing="ij")).to(parameters.origin)  # (3, d, h, w)
        origin, scale = parameters.origin[..., None, None, None], parameters.scale[..., None, None, None, None]
        return origin + scale * grid

    def _sample_item(self, state: np.random.RandomState, last: np.ndarray) -> tuple[np.ndarray, ...]:
        scale = state.uniform(1 - self.zoom, 1 + self.zoom, 2)
        extent = scale[:, None] * (np.array(self.roi_size) - 1)  # (2, 3)
        room = last - extent
        low, high = np.minimum(room, 0) / 2, np.where(room > 0, room, room / 2)
        anywhere, point = state.uniform(size=(2, 3)), state.uniform(0, last)
        if state.uniform() < self.sharing:
            low, high = np.maximum(low, np.minimum(point - extent, high)), np.minimum(high, np.maximum(point, low))
        return low + anywhere * (high - low), scale, state.uniform(0, self.noise, 2)


class EmbeddingViews:
    """Views of the anatomical embedding, used as ``prepare_batch`` of a MONAI engine.

    Args:
        windows: Sampler of the two windows.
        spacing: Voxel size along (D, H, W) in mm. In volumes of RAS orientation the last axis runs along the body.
        seed: Seed of the run.

    Raises:
        ValueError: a spacing that is not three positive numbers.
    """

    def __init__(self, windows: TwoWindows, spacing: Sequence[float], seed: int = 0) -> None:
        if len(spacing) != 3 or not min(spacing) > 0:
            raise ValueError(f"spacing must be three positive numbers in mm, got {tuple(spacing)}.")
        self.windows, self.spacing, self.seed = windows, tuple(float(side) for side in spacing), seed

    def __call__(
        self, batch: VolumeBatch, device: str | torch.device | None = None, non_blocking: bool = False, **_: Any
    ) -> tuple[WindowViews, None]:
        """Return the views of a batch, and no target.

        Args:
            batch: Batch of a ``DrawDataset``.
            device: Device that makes the views.
            non_blocking: Whether copies to the device may overlap with other work.
        """
        image, valid = to_device(device, non_blocking, batch["image"], batch["valid"])
        draws = batch["draw"].tolist()
        parameters = self.windows.sample(draws, image.shape[2:], self.seed)
        positions = self.windows.positions(parameters).to(image.device)
        both = torch.cat([image, valid], dim=1)
        views = [read(both, positions[:, view], "bilinear", exact=False) for view in (0, 1)]
        image, valid = torch.stack(views, dim=1).split([image.shape[1], 1], dim=2)
        spacing = torch.tensor(self.spacing, device=image.device).view(3, 1, 1, 1)
        return {
            "image": image + self._noise(draws, parameters, image),
            "coordinates": positions * spacing,
            "valid": (valid > 0.5).to(image),
            "draw": torch.as_tensor(draws),
        }, None

    def _noise(self, draws: list[int], parameters: WindowParameters, image: Tensor) -> Tensor:
        states = random_states(self.seed, draws, "noise of two windows")
        noise = np.stack([state.standard_normal(tuple(image.shape[1:])).astype(np.float32) for state in states])
        deviation = parameters.noise.view(*parameters.noise.shape, 1, 1, 1, 1)
        return (deviation * torch.from_numpy(noise)).to(image)
