"""``ssl3d export``."""

import sys
from pathlib import Path


def export(
    *names: str, output_dir: str = "exports", bundles: str = "bundles", repeats: int = 10, any_size: bool | str = True
) -> None:
    """Write the networks of bundles as TorchScript and ONNX, check them against PyTorch, and time all three on the CPU.

    Each bundle takes about half a minute. Close other programs first: the load average is printed with the tables.
    Exit status: 0 when every file gives what PyTorch gives, 1 when one does not or could not be written.

    Example: ssl3d export gvsl_pretraining --output_dir exports

    Args:
        names: Names of the bundles to export; all when not given.
        output_dir: Folder of the files, <name>/model.ts and <name>/model.onnx.
        bundles: Folder of the bundles.
        repeats: Number of timed runs over one window.
        any_size: Whether ONNX files take windows of any size; false writes them for the bundle's window alone, which
            is several times faster.
    """
    from ..engines import flag
    from ..release import export as run_export

    exported = run_export(Path(bundles), Path(output_dir), names, repeats, flag(any_size))
    print("\n\n".join(entry.table for entry in exported))
    if not all(entry.good for entry in exported):
        sys.exit(1)
