"""Split cases into training, validation and test by their sorted names alone."""

import json
import logging
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..files.texts import printable

logger = logging.getLogger(__name__)

Case = TypeVar("Case")
Name = TypeVar("Name", bound=str | Path)
ENDING = re.compile(r"(\.nii)?(\.gz)?\Z", re.IGNORECASE)
SECTIONS = ("training", "validation", "test")
HIPPOCAMPUS_NAMES = frozenset(json.loads(Path(__file__).with_name("hippocampus_names.json").read_text()))


def case_name(path: str | Path) -> str:
    """Return the file name without folder and without ``.nii`` or ``.nii.gz`` in any letter case, printable."""
    return printable(ENDING.sub("", Path(path).name))


def positional_split(names: Sequence[Name]) -> dict[str, list[Name]]:
    """Split by position in the sorted names: test = [3::4], validation = [2::8], training = the others.

    With three names each section gets one, which is logged.

    Args:
        names: Names or paths; they are compared by their file name without extension.

    Returns:
        ``training``, ``validation`` and ``test``, each sorted and in the form in which the names were given.

    Raises:
        ValueError: two names are equal, or there are fewer than 3.
    """
    stems = {name: case_name(name) for name in names}
    twice = sorted(stem for stem, count in Counter(case_name(name) for name in names).items() if count > 1)
    if twice:
        raise ValueError(f"Names occur more than once: {', '.join(twice[:10])}. Each case needs a name of its own.")
    if len(names) < 3:
        raise ValueError(
            f"{len(names)} case(s) or patient(s) cannot be split into training, validation and test: at least 3 are "
            'needed. Add cases, train on all of them with --split none, or list them under "training", "validation" '
            'and "test" in dataset.json.'
        )
    ordered = sorted(names, key=lambda name: stems[name])
    if len(ordered) == 3:
        logger.warning("Only 3 cases: one each for training, validation and test. Scores will say little.")
    test = ordered[3::4] or ordered[1:2]
    validation = ordered[2::8]
    held_out = {*validation, *test}
    training = [name for name in ordered if name not in held_out]
    return {"training": training, "validation": validation, "test": test}


def hippocampus_split(names: Sequence[Name]) -> dict[str, list[Name]]:
    """Split the MSD hippocampus cases as the project does: 122 for training, 25 for validation, 48 for test.

    If ``names`` holds all 195 names of the project's tables (``hippocampus_names.json``), only those are kept, so that
    the whole public Task04 gives the same three sections. Any other set is split by position.

    Args:
        names: ``hippocampus_001``, ``hippocampus_001.nii.gz`` or paths of such files.

    Returns:
        ``training``, ``validation`` and ``test``, each sorted and in the form in which the names were given.

    Raises:
        ValueError: two names are equal, or there are fewer than 3.
    """
    kept = [name for name in names if case_name(name) in HIPPOCAMPUS_NAMES]
    if len({case_name(name) for name in kept}) < len(HIPPOCAMPUS_NAMES):
        return positional_split(names)
    if len(kept) < len(names):
        logger.info("Kept the %d cases of the project's split, left out %d others.", len(kept), len(names) - len(kept))
    return positional_split(kept)


def labelled_subset(training: Sequence[Case], k: int, seed: int, patients: Sequence[str] | None = None) -> list[Case]:
    """Return the labelled set of a k-label run: the first k of a shuffle that ``seed`` fixes.

    Sets of one seed are nested. Scans of one patient follow each other.

    Args:
        training: Training cases.
        k: Number of cases.
        seed: Seed of the shuffle.
        patients: Patient of each case; None: each is of another patient.

    Raises:
        ValueError: ``k`` is below 1 or above the number of training cases.
    """
    if not 1 <= k <= len(training):
        hint = (
            " To train on the cases of the other sections too, take --split none, or --split 'folds 5/0' for one fold "
            "of five; to score every case once, take ssl3d study with --folds (docs/cases.md)."
        )
        raise ValueError(
            f"num_labelled must be between 1 and the {len(training)} training cases, got {k}.{hint if k > 0 else ''}"
        )
    scans: dict[Any, list[Case]] = {}
    for case, patient in zip(training, range(len(training)) if patients is None else patients, strict=True):
        scans.setdefault(patient, []).append(case)
    groups = list(scans.values())
    return [case for group in random.Random(seed).sample(groups, len(groups)) for case in group][:k]
