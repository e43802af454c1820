"""``ssl3d pack``."""

from pathlib import Path


def pack(*names: str, output_dir: str = "dist", bundles: str = "bundles", zoo: str | None = None) -> None:
    """Pack bundles into zip files that run without ssl3d installed, with an index that makes the folder a zoo.

    Example: ssl3d pack gvsl_pretraining hippocampus_mri_segmentation

    Args:
        names: Names of the bundles to pack; all when not given.
        output_dir: Folder of the zip files.
        bundles: Folder of the bundles.
        zoo: Folder for the form of a pull request to the MONAI Model Zoo, written instead of zip files.
    """
    from ..release import pack as run_pack
    from ..release import request

    written = (
        run_pack(Path(bundles), Path(output_dir), names) if zoo is None else request(Path(bundles), Path(zoo), names)
    )
    print("\n".join(map(str, written)))
