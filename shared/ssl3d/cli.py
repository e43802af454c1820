"""The ``ssl3d`` command."""

import sys
from collections.abc import Sequence

import fire

from .data.synthetic import synthesize as write_synthetic


def synthesize(
    kind: str,
    output_dir: str,
    subjects: int = 8,
    seed: int = 0,
    size: int = 96,
    contrasts: str | Sequence[str] = "t1n",
    label_maps: str | None = None,
) -> str:
    """Write a data set of synthetic anatomy in Decathlon layout, with landmarks and deformation fields.

    Example: ssl3d synthesize brain_mri brains --subjects 20 --contrasts t1n,t2w

    Args:
        kind: brain_mri (whole heads) or hippocampus_mri (1 mm crops around one hippocampus).
        output_dir: new or empty folder, or one with a set of the same settings, which is then reused.
        subjects: how many.
        seed: another seed gives other subjects.
        size: voxels along an axis of a brain_mri volume, each of 192 / size mm.
        contrasts: of t1n, t1c, t2w, t2f; comma-separated.
        label_maps: folder of NIfTI label maps to paint with random contrast (brain_mri only).

    Returns:
        Path of dataset.json, printed.
    """
    return str(write_synthetic(str(kind), str(output_dir), subjects, seed, size, contrasts, label_maps))


COMMANDS = {"synthesize": synthesize}


def main() -> None:
    """Run the command line; an error of the user's makes one line on stderr and exit status 2."""
    try:
        fire.Fire(COMMANDS, name="ssl3d")
    except (ValueError, OSError) as error:
        print(f"ssl3d: {error}", file=sys.stderr)
        sys.exit(2)
