"""``ssl3d synthesize``."""

from collections.abc import Sequence


def synthesize(
    kind: str,
    output_dir: str,
    subjects: int = 8,
    seed: int = 0,
    size: int = 96,
    contrasts: str | Sequence[str] | None = None,
    label_maps: str | None = None,
) -> str:
    """Write a data set of synthetic anatomy in Decathlon layout, with landmarks and deformation fields.

    Example: ssl3d synthesize brain_mri brains --subjects 20 --contrasts t1n,t2w

    Args:
        kind: One of brain_mri (whole heads), hippocampus_mri (1 mm crops around the right hippocampus), abdominal_ct
            (13 organs), chest_ct (healthy lungs and two kinds of opacities) and heart_ct (chambers, vessels,
            coronaries).
        output_dir: New or empty folder, or one with a set of the same settings, which is then reused.
        subjects: Number of subjects.
        seed: Seed of the subjects; another seed gives other subjects.
        size: Voxels along an axis; the field of view of a kind does not change with it.
        contrasts: Contrasts of brain_mri and hippocampus_mri, comma-separated, of t1n (the default), t1c, t2w, t2f.
        label_maps: Folder of NIfTI label maps to paint with random contrast (brain_mri only).

    Returns:
        Path of dataset.json, printed.
    """
    from ..synthetic import synthesize as write_synthetic

    return str(write_synthetic(str(kind), str(output_dir), subjects, seed, size, contrasts, label_maps))
