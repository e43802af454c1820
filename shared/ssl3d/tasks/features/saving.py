"""Save features and restored images of scans."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from torch import Tensor

from ...files.atomic import replacing
from ...networks import DenseFeatureNet
from ..plain import plain


class SaveFeaturesd(Transform):
    """Write the features of a scan to ``<output_dir>/<name>_features.npz``, plain arrays.

    - ``dense`` (C, d, h, w), float16: unit-norm features of the cells;
    - ``whole`` (C'), float32: one unit-norm vector of the scan, for retrieval and for probes;
    - ``affine`` (4, 4), float64: from the cells to world coordinates of the scan, mm (RAS+).

    Args:
        output_dir: Output folder; made when needed.
        network: Network with the method ``whole``, on its device, in evaluation mode.
    """

    def __init__(self, output_dir: str | Path, network: DenseFeatureNet) -> None:
        self.output_dir, self.network = Path(output_dir), network

    def __call__(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Save the features of ``data``, which has ``pred`` (C, d, h, w), ``image`` (C, D, H, W) and ``name``."""
        image = data["image"]
        with torch.no_grad():
            whole = self.network.whole(_batch(image, self.network))[0]
        cells = torch.eye(4, dtype=torch.float64)
        cells[:3, :3] *= self.network.stride
        cells[:3, 3] = (self.network.stride - 1) / 2
        dense, affine = plain(data["pred"], torch.float16), plain(image.affine, torch.float64) @ cells
        self.output_dir.mkdir(parents=True, exist_ok=True)
        file = self.output_dir / f"{str(data['name']).replace('/', '_')}_features.npz"
        with replacing(file) as temporary, temporary.open("wb") as stream:
            np.savez(stream, dense=dense.numpy(), whole=whole.float().cpu().numpy(), affine=affine.numpy())
        return data


class Restored(Transform):
    """Add ``filled``: the image ``masked``, whose hidden blocks are 0, filled in by the network.

    Args:
        network: Network with the method ``restore``, on its device, in evaluation mode.
    """

    def __init__(self, network: DenseFeatureNet) -> None:
        self.network = network

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``data`` with ``filled`` (C, D, H, W) added, which has the metadata of ``image``."""
        with torch.no_grad():
            filled = self.network.restore(_batch(data["masked"], self.network))[0].float().cpu()
        return {**data, "filled": MetaTensor(filled, meta=data["image"].meta)}


def _batch(image: Tensor, network: torch.nn.Module) -> Tensor:
    return plain(image, torch.float32)[None].to(next(network.parameters()).device)
