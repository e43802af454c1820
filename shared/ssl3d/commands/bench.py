"""``ssl3d bench``."""

from collections.abc import Sequence


def bench(
    bundle: str,
    size: int | Sequence[int] | None = None,
    batch_size: int | None = None,
    paper: bool | str = False,
    repeats: int = 5,
    device: str = "cpu",
    inference: bool | str = False,
    spacing: Sequence[float] = (0.75, 0.75, 1.5),
    settings: dict | None = None,
) -> None:
    """Measure time and memory of a pre-training step, or of segmenting a large CT, beside what the networks need.

    No data are read: volumes are random, the CT is made. Close other programs first: the load average is printed with
    the table.

    Example: ssl3d bench bundles/gvsl_pretraining --size 64 --batch_size 1 --paper true

    Args:
        bundle: Folder of a pre-training bundle; with inference, of a segmentation bundle.
        size: Voxels along each axis, one number or three; comma-separated. The bundle's roi_size when not given; with
            inference 512,512,300.
        batch_size: Volumes in a step; the bundle's number when not given; not with inference.
        paper: Whether to take the settings of the publication, paper.json; not with inference.
        repeats: Number of timed steps, or of runs over the CT.
        device: Device to measure on, cpu or cuda.
        inference: Whether to segment a CT stage by stage, as inference.json has it, instead of a training step.
        spacing: Voxel size of the CT in mm; comma-separated.
        settings: Further keys of the bundle's config, such as "{'crops': [1, 1, 1]}"; not with inference.
    """
    from ..engines import flag
    from ..release import bench as run_bench
    from ..release import bench_inference as run_bench_inference

    if flag(inference):
        if batch_size is not None or flag(paper) or settings:
            raise ValueError("batch_size, paper and settings are of a training step: leave them out with inference.")
        print(run_bench_inference(str(bundle), size, spacing, repeats, str(device)))
    else:
        print(run_bench(str(bundle), size, batch_size, paper, repeats, str(device), settings))
