"""Register pairs by ANTs, the classic tool, as a baseline."""

import os
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

TRANSFORMS = {"ANTs affine": "Affine", "ANTs SyN": "SyN"}
THREADS = "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"


def check_ants() -> None:
    """Limit ANTs to one thread. ITK reads the number of threads once, so call this before ``ants`` is imported.

    Raises:
        ModuleNotFoundError: antspyx is not installed.
    """
    os.environ[THREADS] = "1"
    if find_spec("ants") is None:
        raise ModuleNotFoundError("ANTs is not installed. Install it with `pip install antspyx`, or leave out --ants.")


def ants_flow(image: Tensor, spacing: Tensor, transform: str) -> tuple[Tensor, float]:
    """Register one pair with ANTs' default settings, from a fixed random seed.

    Args:
        image: (2, D, H, W), channel 0 the moving, channel 1 the fixed volume, on one grid.
        spacing: (3,) mm of that grid.
        transform: ``Affine`` or ``SyN`` (affine, then deformable), see ``ants.registration``.

    Returns:
        The displacement (3, D, H, W) in voxels, in the form of ``warp_flow``, and the run time in seconds.
    """
    import ants

    moving, fixed = (ants.from_numpy(volume, spacing=spacing.tolist()) for volume in image.float().cpu().numpy())
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = ants.registration(
            fixed, moving, type_of_transform=transform, outprefix=str(Path(folder) / "found"), random_seed=1
        )
        seconds = time.perf_counter() - start
        file = ants.apply_transforms(fixed, moving, found["fwdtransforms"], compose=str(Path(folder) / "composed"))
        field = ants.image_read(file).numpy()  # (D, H, W, 3), mm along the axes of the arrays
    return torch.from_numpy(np.moveaxis(field, -1, 0).copy()) / spacing.float().view(3, 1, 1, 1), seconds
