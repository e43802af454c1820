"""Export a bundle's network as TorchScript, with the same bytes at each export."""

import os
import subprocess
import sys
from pathlib import Path

from ..packing.archive import rewrite_zip

EXPORT = "-m monai.bundle ckpt_export --net_id network_def --filepath models/model.ts --ckpt_file models/model.pt"
CONFIGS = "--meta_file configs/metadata.json --config_file configs/inference.json"


def export(bundle: Path) -> Path:
    """Write ``models/model.ts``: the network of ``inference.json`` with its weights, metadata and config.

    A process of its own does it, since TorchScript numbers the classes that a process has scripted, and orders some
    entries by Python's hashes. What names the folder it was made in is left out.

    Args:
        bundle: A packed bundle, unpacked; ``scripts`` must be importable there.

    Returns:
        The file, which ``monai.bundle.load(..., load_ts_module=True)`` and ``torch.jit.load`` read.

    Raises:
        RuntimeError: the network cannot be scripted; holds the last lines of the export.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *EXPORT.split(), *CONFIGS.split()],
        cwd=bundle,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    file = bundle / "models" / "model.ts"
    if done.returncode or not file.is_file():
        raise RuntimeError(f"{bundle.name}: no TorchScript. " + "\n".join(done.stderr.splitlines()[-8:]))
    drop_paths(file)
    return file


def drop_paths(file: Path) -> None:
    """Take from a TorchScript file its source positions, which are absolute paths, and the hash over them."""
    rewrite_zip(file, lambda name: not name.endswith((".debug_pkl", "/.data/serialization_id")))
