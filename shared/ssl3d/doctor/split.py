"""Describe how a bundle would divide a data set, and check that scans of one patient stay together."""

from collections.abc import Iterator
from typing import Any

from ..data.checks import Fault
from ..data.patients import find_patients
from ..data.sections import split_source
from ..data.sources import Source
from ..data.splits import SECTIONS

FEW = 5  # validation cases
SHOWN = 5


def describe_split(source: Source, split: str) -> dict[str, Any]:
    """Describe the sections that a bundle takes by default, and the patients.

    Args:
        source: Data set.
        split: Default ``split`` of the bundle.

    Returns:
        ``how`` (text), ``training``, ``validation``, ``test`` (numbers of cases), ``patients`` (their number),
        ``told_by`` (how patients with several scans were told apart; empty if there are none), ``problem`` (why the
        cases cannot be divided; empty if they can).
    """
    entries = [entry for part in source.sections.values() for entry in part]
    told = find_patients(entries, source.folder)
    document = {"how": "", **dict.fromkeys(SECTIONS, 0), "patients": len(set(told.keys)), "told_by": told.source}
    try:
        divided = split_source(source, split)
    except ValueError as error:
        return {**document, "problem": str(error)}
    counts = {section: len(found) for section, found in divided.sections.items()}
    return {**document, **counts, "how": divided.how, "problem": ""}


def find_split_patients(source: Source) -> Iterator[Fault]:
    """Warn of patients whose scans are in several sections, and of names that leave the patient in doubt."""
    entries = [(section, entry) for section, part in source.sections.items() for entry in part]
    told = find_patients([entry for _, entry in entries], source.folder)
    for patient, numbers in told.shared.items():
        sections = sorted({entries[number][0] for number in numbers}, key=SECTIONS.index)
        if told.source and len(sections) > 1:
            names = ", ".join(entries[number][1]["name"] for number in numbers[:SHOWN])
            problem = (
                f"{names} look like scans of one patient ({patient}, told by {told.source}) in {' and '.join(sections)}"
            )
            remedy = "Keep the scans of one patient in one section, or scores are too good"
            yield Fault(_image(entries[numbers[0]][1]), problem, remedy, fatal=False)
    if told.doubt:
        problem = f"{told.doubt} may be scans of one patient: their names share all but the last part"
        remedy = 'If they are, give each entry of a JSON file a key "patient", so that they stay together'
        yield Fault(str(source.folder), problem, remedy, fatal=False)


def suggested_folds(split: dict[str, Any]) -> int | None:
    """Return the number of folds for a study of a data set with so few validation cases that scores say little.

    Args:
        split: Result of ``describe_split``, with ``labelled``, the number of labelled cases.

    Returns:
        A number of folds; None if the sections are large enough, are declared, or hold no labels.
    """
    few = split["validation"] < FEW and split["how"] == "sorted names" and not split["problem"]
    return min(3 if split["patients"] < 2 * FEW else 5, split["patients"]) if few and split["labelled"] else None


def _image(entry: dict[str, Any]) -> str:
    return entry["image"] if isinstance(entry["image"], str) else entry["image"][0]
