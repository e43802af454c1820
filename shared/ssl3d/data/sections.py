"""Divide a data set into training, validation and test: by its own sections, or by a split of the patients."""

import logging
import random
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..files.texts import read_json
from .patients import Patients, find_patients
from .sources import Source, canonical_section
from .splits import HIPPOCAMPUS_NAMES, SECTIONS, case_name, hippocampus_split, positional_split

logger = logging.getLogger(__name__)

Entries = list[dict[str, Any]]
WORDS = ("positional", "hippocampus", "pretraining", "none")
FOLDS = re.compile(r"folds?\s+(?:(\d+)\s*/\s*)?(\d+)", re.IGNORECASE)
NNUNET_SPLITS = "splits_final.json"
SHOWN = 10


class Split(NamedTuple):
    """The sections of a data set.

    Attributes:
        sections: ``training``, ``validation`` and ``test``, each a list of entries; empty where a section has no case.
        how: Origin of the sections, for a log line.
        patients: Patient of each case, by the case's name.
        grouped: Origin of the grouping of scans by patient; empty if no patient has several scans.
    """

    sections: dict[str, Entries]
    how: str
    patients: dict[str, str]
    grouped: str


def check_split(split: Any) -> str:
    """Return ``split`` as text.

    Raises:
        ValueError: neither a known word, nor folds, nor the name of a JSON file.
    """
    text = str(split).strip()
    if text.lower() in WORDS:
        return text.lower()
    if not (FOLDS.fullmatch(text) or text.lower().endswith(".json")):
        raise ValueError(
            f'split must be one of {", ".join(WORDS)}, "folds K/I" (fold I of K, I from 0) or a JSON file with the '
            f"names of each section, got {split!r}."
        )
    return text


def allows_no_validation(split: str) -> bool:
    """Return whether a split may leave validation empty: ``none``, or a JSON file."""
    return check_split(split) == "none" or split.strip().lower().endswith(".json")


def split_source(source: Source, split: str) -> Split:
    """Divide the cases of a data set into sections.

    Sections that the data set declares are kept: ``validation``, labelled ``test`` entries, ``fold`` of each entry and
    nnU-Net's ``splits_final.json`` (fold 0 is for validation unless ``split`` says otherwise). The other cases are
    split by patient, see ``find_patients``.

    Args:
        source: The data set.
        split: ``positional``: of the sorted names test = [3::4], validation = [2::8]. ``hippocampus``: see
            ``hippocampus_split``. ``pretraining``: validation = [2::8] and all others for training, with a test section
            only where the data set declares one, is synthetic or holds the project's hippocampus cases. ``none``:
            all for training but a declared test section. ``folds K/I``: fold I of K is for validation. ``fold I``: the
            same with folds that the data set declares. Otherwise a JSON file, relative to the working directory or to
            the data set's folder, with lists of names under ``training``, ``validation`` and ``test``; without
            ``training`` all other cases are for training.

    Raises:
        FileNotFoundError: the JSON file does not exist.
        ValueError: too few cases or patients; a fold that does not exist; a name that the data set does not hold.
    """
    split = check_split(split)
    training, validation, test = (source.sections.get(section, []) for section in SECTIONS)
    every = [*training, *validation, *test]
    patients = find_patients(every, source.folder)
    own = dict(zip((entry["name"] for entry in every), patients.keys, strict=True))
    labelled = [entry for entry in test if "label" in entry]
    declared = {"validation": validation, "test": labelled or (test if validation or split == "pretraining" else [])}
    sections, how = _split(source, split, training, declared, own)
    _warn_of_leaks(sections, own, patients)
    if patients.doubt:
        logger.warning(
            "%s: are %s scans of one patient? Their names differ only in the last part. Each counts as a patient of "
            'its own. If they are of one patient, give each entry of a JSON file a key "patient".',
            source.name,
            patients.doubt,
        )
    return Split({section: sections.get(section, []) for section in SECTIONS}, how, own, patients.source)


def _split(
    source: Source, split: str, training: Entries, declared: dict[str, Entries], patients: Mapping[str, str]
) -> tuple[dict[str, Entries], str]:
    validation, test = declared["validation"], declared["test"]
    folds = FOLDS.fullmatch(split)
    if split == "none":
        return {"training": training + validation, "test": test}, "split none: nothing is validated"
    if split.lower().endswith(".json"):
        return _from_file(source, split)
    fold_of = _declared_folds(source, training)
    if folds:
        count, number = (None if text is None else int(text) for text in folds.groups())
        if fold_of and count in (None, len(fold_of)):
            return _declared_fold(fold_of, number or 0, test)
        if count is None:
            raise ValueError(
                f'{source.name} declares no folds: no entry has a key "fold" and there is no {NNUNET_SPLITS}. Give '
                f'the number of folds: --split "folds 5/{number}".'
            )
        parts = make_folds(training + validation, count, patients)
        if (number or 0) >= count:
            raise ValueError(f"There is no fold {number} of {count}: folds count from 0 to {count - 1}.")
        held_out = parts[number or 0]
        names = {entry["name"] for entry in held_out}
        rest = sorted((e for e in training + validation if e["name"] not in names), key=lambda entry: entry["name"])
        return {"training": rest, "validation": held_out, "test": test}, f"fold {number} of {count} for validation"
    if validation:
        return {"training": training, **declared}, "sections of the data set"
    if fold_of:
        return _declared_fold(fold_of, 0, test)
    return _by_word(source, split, training, test, patients)


def _by_word(
    source: Source, split: str, training: Entries, test: Entries, patients: Mapping[str, str]
) -> tuple[dict[str, Entries], str]:
    hippocampus = {entry["name"] for entry in training} >= HIPPOCAMPUS_NAMES
    use = hippocampus_split if split == "hippocampus" or (split == "pretraining" and hippocampus) else positional_split
    sections = by_patient(training, patients, use)
    how = "the project's split of the hippocampus cases" if hippocampus and use is hippocampus_split else "sorted names"
    three = split != "pretraining" or (hippocampus and not test) or (source.synthetic and not test)
    if test or not three:
        rest = sections["training"] + sections["test"]
        training = sorted(rest, key=lambda entry: entry["name"])
        sections = {"training": training, "validation": sections["validation"], "test": test}
        how += ", test as declared" if test else ", no test section declared"
    return sections, how


def by_patient(
    entries: Entries, patients: Mapping[str, str], split: Callable[[list[str]], dict[str, list[str]]]
) -> dict[str, Entries]:
    """Divide cases into sections. ``split`` divides the patients, each named by the patient's first case."""
    scans = _scans(entries, patients)
    sections = split(list(scans))
    return {section: [entry for name in names for entry in scans[name]] for section, names in sections.items()}


def make_folds(entries: Entries, count: int, patients: Mapping[str, str]) -> list[Entries]:
    """Divide cases by name into folds of equal size; scans of one patient are in one fold.

    Args:
        entries: Cases with ``name``.
        count: Number of folds, from 2 to the number of patients.
        patients: Patient of each case, by the case's name.

    Raises:
        ValueError: ``count`` is out of range.
    """
    scans = _scans(entries, patients)
    names = list(scans)
    if not 2 <= count <= len(names):
        raise ValueError(f"{len(names)} patient(s) can be divided into 2 to {len(names)} folds, not into {count}.")
    random.Random("\n".join(names)).shuffle(names)
    return [[entry for name in sorted(names[fold::count]) for entry in scans[name]] for fold in range(count)]


def _scans(entries: Entries, patients: Mapping[str, str]) -> dict[str, Entries]:
    """Map the name of a patient's first case to all cases of that patient, sorted by name."""
    groups: dict[str, Entries] = {}
    for entry in sorted(entries, key=lambda entry: entry["name"]):
        groups.setdefault(patients[entry["name"]], []).append(entry)
    return {group[0]["name"]: group for group in groups.values()}


def _declared_folds(source: Source, training: Entries) -> list[tuple[Entries, Entries]]:
    """Return training and validation cases of each fold that the data set declares."""
    numbers = [entry.get("fold") for entry in training]
    if any(number is not None for number in numbers):
        known = sorted(
            {number for number in numbers if number is not None}, key=lambda value: (str(type(value)), value)
        )
        if len(known) < 2:
            return []
        return [
            ([entry for entry in training if entry.get("fold") != fold], [e for e in training if e.get("fold") == fold])
            for fold in known
        ]
    file = source.folder / NNUNET_SPLITS
    if not file.is_file():
        return []
    content = read_json(file, kind=list)
    by_name = {entry["name"]: entry for entry in training}
    folds = []
    for number, fold in enumerate(content):
        where = f"{file}, fold {number}"
        if not (isinstance(fold, dict) and isinstance(fold.get("train"), list) and isinstance(fold.get("val"), list)):
            raise ValueError(f'{where} must have the lists "train" and "val".')
        folds.append((_named(fold["train"], by_name, where), _named(fold["val"], by_name, where)))
    return folds


def _declared_fold(folds: list[tuple[Entries, Entries]], number: int, test: Entries) -> tuple[dict[str, Entries], str]:
    if number >= len(folds):
        raise ValueError(f"There is no fold {number}: the data set declares {len(folds)}, from 0 to {len(folds) - 1}.")
    training, validation = folds[number]
    how = f"fold {number} of the {len(folds)} that the data set declares, for validation"
    return {"training": training, "validation": validation, "test": test}, how


def _from_file(source: Source, split: str) -> tuple[dict[str, Entries], str]:
    places = [Path(split).expanduser(), source.folder / split]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f"The split {places[0].absolute()} does not exist. Give a JSON file with the names of each section, "
            f"relative to the working directory or to {source.folder}."
        )
    content = read_json(file)
    by_name = {entry["name"]: entry for part in source.sections.values() for entry in part}
    sections: dict[str, Entries] = {}
    for key, names in content.items():
        section = canonical_section(key)
        if section and isinstance(names, list):
            sections[section] = [*sections.get(section, []), *_named(names, by_name, f"{file}, {key}")]
    if not sections:
        raise ValueError(f'{file} names no section. Give lists of names under "training", "validation" and "test".')
    listed = [entry["name"] for part in sections.values() for entry in part]
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise ValueError(f"{file} lists cases twice: {', '.join(twice[:SHOWN])}. List each case in one section.")
    rest = [entry for name, entry in by_name.items() if name not in set(listed)]
    if "training" not in sections:
        sections["training"] = sorted(rest, key=lambda entry: entry["name"])
    elif rest:
        some = ", ".join(entry["name"] for entry in rest[:SHOWN])
        logger.warning("%s does not list %d case(s), which are left out: %s.", file, len(rest), some)
    return sections, f"sections of {file.name}"


def _named(names: Sequence[Any], by_name: Mapping[str, dict[str, Any]], where: str) -> Entries:
    """Return the entries of some case names or file names."""
    unknown = [name for name in map(str, names) if name not in by_name and case_name(name) not in by_name]
    if unknown:
        known = ", ".join(sorted(by_name)[:3])
        raise ValueError(
            f"{where}: {len(unknown)} name(s) are not in the data set: {', '.join(unknown[:SHOWN])}. The data set has "
            f"{len(by_name)} cases, such as {known}."
        )
    return [by_name[name] if name in by_name else by_name[case_name(name)] for name in map(str, names)]


def _warn_of_leaks(sections: Mapping[str, Entries], patients: Mapping[str, str], told: Patients) -> None:
    if not told.source:
        return
    members = {section: {patients[entry["name"]] for entry in entries} for section, entries in sections.items()}
    for held_out in ("validation", "test"):
        both = sorted(members.get("training", set()) & members.get(held_out, set()))
        if both:
            logger.warning(
                "%d patient(s), told by %s, are in training and in %s: %s. Scores will be too good. Keep the scans of "
                "one patient in one section.",
                len(both),
                told.source,
                held_out,
                ", ".join(both[:SHOWN]),
            )


def describe_patients(split: Split, names: Collection[str]) -> str:
    """Describe in a sentence the patients with several scans among ``names``; empty if there are none."""
    keys = [split.patients[name] for name in names]
    if not split.grouped or len(set(keys)) == len(keys):
        return ""
    return (
        f"{len(keys)} scans of {len(set(keys))} patients, told by {split.grouped}; scans of one patient stay together"
    )
