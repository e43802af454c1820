"""Find scans of the same patient, by a key, by BIDS names, or by the common beginning of names."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PARTS = re.compile(r"[_\- ]+|(?<=\d)(?=[A-Za-z])")  # between the parts of a name: sub03_ses1, P01-V2, 001a
BIDS = re.compile(r"(?:^|[/_\\])(sub-[A-Za-z0-9]+)(?=[_/\\.]|$)")
VISIT = re.compile(  # parts of a name that distinguish scans of one patient
    r"(ses|sess|session|visit|vis|tp|timepoint|day|week|month|year|fu|follow|followup|pre|post)\d*|[tvmwyd]\d{1,2}"
    r"|baseline|base|bl|before|after|preop|postop|prior|current|left|right|lh|rh|l|r",
    re.IGNORECASE,
)
LARGEST = 10  # largest number of scans with a common beginning of their names that may be of one patient
SHOWN = 3


class Patients(NamedTuple):
    """The patient of each case.

    Attributes:
        keys: One text per case, equal for scans of one patient.
        source: Origin of the grouping, for a sentence; empty if every case counts as a patient of its own.
        doubt: Example of names that may belong to one patient but were not grouped; empty if there is none.
    """

    keys: list[str]
    source: str = ""
    doubt: str = ""

    @property
    def shared(self) -> dict[str, list[int]]:
        """Map each patient with several scans to the positions of the cases."""
        groups: dict[str, list[int]] = defaultdict(list)
        for number, key in enumerate(self.keys):
            groups[key].append(number)
        return {key: numbers for key, numbers in groups.items() if len(numbers) > 1}


def find_patients(entries: Sequence[Mapping[str, Any]], folder: Path) -> Patients:
    """Group cases by patient: by the key ``patient``, by BIDS' ``sub-``, or by what their names share.

    Names that share their beginning count as one patient where the rest names a visit or a side (``ses1``, ``after``,
    ``left``), or where the beginnings hold a number and there are more of them than different endings
    (``BraTS-GLI-00003-000`` and ``-001``, but not ``hippocampus_001`` and ``_003``).

    Args:
        entries: Cases with ``name`` and ``image`` (path or list of paths).
        folder: Folder of the data set; BIDS names above it do not count.
    """
    names = [str(entry["name"]) for entry in entries]
    if any(entry.get("patient") is not None for entry in entries):
        keys = [str(entry.get("patient", name)) for name, entry in zip(names, entries, strict=True)]
        return _told(keys, 'the key "patient"')
    subjects = [
        BIDS.search(name) or BIDS.search(_place(entry, folder)) for name, entry in zip(names, entries, strict=True)
    ]
    if any(subjects):
        return _told(
            [match[1] if match else name for match, name in zip(subjects, names, strict=True)],
            "their BIDS names (sub-)",
        )
    return _by_names(names)


def _told(keys: list[str], source: str) -> Patients:
    return Patients(keys, source if len(set(keys)) < len(keys) else "")


def _place(entry: Mapping[str, Any], folder: Path) -> str:
    image = entry["image"]
    return os.path.relpath(image if isinstance(image, str) else image[0], folder)


def _by_names(names: list[str]) -> Patients:
    parts = [tuple(filter(None, PARTS.split(name))) or (name,) for name in names]
    doubt = ""
    for length in range(1, max(map(len, parts), default=1)):
        groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, own in enumerate(parts):
            groups[own[:length]].append(number)
        shared = {key: numbers for key, numbers in groups.items() if len(numbers) > 1}
        if not shared or len(groups) == 1:
            continue
        endings = {parts[number][length:] for numbers in shared.values() for number in numbers}
        visits = all(not ending or VISIT.fullmatch(ending[0]) for ending in endings)
        numbered = all(re.search(r"\d", "".join(key)) for key in shared)
        if visits or (numbered and len(groups) > len(endings)):
            keys = list(names)
            for key, numbers in shared.items():
                for number in numbers:
                    keys[number] = "_".join(key)
            return Patients(keys, "their names")
        if numbered and max(map(len, shared.values())) <= LARGEST:
            doubt = ", ".join(names[number] for number in next(iter(shared.values()))[:SHOWN])
    return Patients(list(names), doubt=doubt)
