"""Examine a data set: its content, its faults, and the settings of a bundle that suit it."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..data.checks import Fault
from ..data.folder_list import unread_images
from ..data.sources import Source, read_source
from ..data.splits import SECTIONS, case_name
from ..data.validation import THREADS
from ..files import folders
from ..files.readable_json import readable_json
from ..imaging.nifti import CONVERT, is_nifti
from ..version import __version__
from .facts import Case, examine_case
from .overlap import find_copies, find_leaks, find_odd_labels
from .scans import find_misfits, find_odd_scans
from .split import describe_split, find_split_patients, suggested_folds
from .summary import BUNDLES, is_ct, suggested_bundle, suggested_settings, summary

DATASET = "dataset.json"


def examine(
    folder: str | Path,
    *,
    datalist: str | Path | None = None,
    against: str | Path | None = None,
    write: str | Path | None = None,
) -> dict[str, Any]:
    """Read all files of a data set once and describe it; at most four volumes are in memory at a time.

    Args:
        folder: Folder of the data set; see ``read_source`` for its layouts.
        datalist: JSON file, absolute or relative to ``folder``.
        against: Another folder or JSON file, which must not share images with the data set.
        write: New JSON file, absolute or relative to ``folder``, for the good cases in the form of the Decathlon, which
            ``Datalist`` reads. It is not written if no training case is good.

    Returns:
        What ``ssl3d doctor --json`` prints, in JSON's types: ``good`` (whether nothing is fatal), ``cases``,
        ``images``, ``labels`` (summaries), ``window`` (HU, for CT), ``bundle`` (that suits the data), ``split``
        (sections that this bundle takes, and patients: see ``describe_split``), ``folds`` (of a study, if cases are
        few, else None), ``small`` (whether scans are too small for the settings), ``faults`` (fatal faults first),
        ``settings`` (overrides for a bundle), ``items`` (each case with facts of its files), ``folder``, ``datalist``,
        ``against``, ``written`` (paths), ``name``, ``licence``, ``synthetic``, ``ssl3d`` (version).

    Raises:
        FileNotFoundError: the folder, the datalist or ``against`` does not exist or holds no images, or there is no
            folder for ``write``.
        FileExistsError: there is a file where ``write`` should go.
    """
    root = folders.data_folder(folder)
    target = None if write is None else _new_file(root / Path(write).expanduser())
    general: list[Fault] = []
    try:
        source = read_source(root, datalist)
    except ValueError as error:  # an error in the list is reported like any other fault
        source = Source(root.name, "unknown", False, {}, True, {}, root)
        file = root / (datalist or DATASET)
        where = str(file if file.is_file() else root)
        general.append(Fault(where, str(error).rstrip("."), "Correct that, then run the doctor again"))
    cases = _examine_all(source, sorted(source.labels) or None)
    _find_odd_ones(cases)
    find_odd_scans(cases)
    small = find_misfits(cases, summary(cases, source.labels)["images"])
    find_odd_labels(cases, source.labels)
    find_copies(cases)
    if against is not None:
        other = Path(against).expanduser().absolute()
        place = (other.parent, other.name) if other.is_file() else (folders.data_folder(other), None)
        find_leaks(cases, _examine_all(read_source(*place), None, labels=False), str(against))
    general += find_split_patients(source)
    if not source.listed:
        general += _left_over_files(cases)
    faults = [*general, *(fault for case in cases for fault in case.faults)]
    found = summary(cases, source.labels)
    bundle = suggested_bundle(found)
    split = {**describe_split(source, BUNDLES[bundle]), "labelled": found["cases"]["labelled"]}
    document = {
        "ssl3d": __version__,
        "folder": str(root),
        "datalist": None if datalist is None else str(datalist),
        "against": None if against is None else str(against),
        "written": None,
        "name": source.name,
        "licence": source.licence,
        "synthetic": source.synthetic,
        "good": not any(fault.fatal for fault in faults),
        **found,
        "bundle": bundle,
        "split": split,
        "folds": suggested_folds(split),
        "small": small,
        "faults": [fault._asdict() for fault in sorted(faults, key=lambda fault: not fault.fatal)],
    }
    if target is not None and any(case.good and case.section == "training" for case in cases):
        _write(cases, document, target)
        document["written"] = str(target)
    return {**document, "settings": suggested_settings(document), "items": [_item(case) for case in cases]}


def _write(cases: Sequence[Case], document: Mapping[str, Any], target: Path) -> None:
    good = [case for case in cases if case.good]
    sections = {section: [case for case in good if case.section == section] for section in SECTIONS}
    channels = max(1, *map(int, document["images"]["channels"]))
    content = {
        "name": document["name"],
        "licence": document["licence"],
        **({"synthetic": True} if document["synthetic"] else {}),
        "tensorImageSize": "3D",
        "modality": {str(channel): "CT" if document["window"] else "MR or other" for channel in range(channels)},
        "labels": {str(label["id"]): label["name"] for label in document["labels"]},
        "numTraining": len(sections["training"]),
        "numTest": len(sections["test"]),
    }
    place = target.parent if target.parent == Path(document["folder"]) else None  # elsewhere paths stay absolute
    for section, members in sections.items():
        if members:
            content[section] = [_listed(case, place) for case in members]
    with target.open("x", encoding="utf-8") as stream:
        stream.write(readable_json(content))


def _new_file(target: Path) -> Path:
    if target.exists():
        raise FileExistsError(f"{target} exists and is not overwritten. Choose another name for --write.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"The folder {target.parent} does not exist. Make it, or choose another for --write.")
    return target


def _examine_all(source: Source, label_ids: list[int] | None, labels: bool = True) -> list[Case]:
    """Examine all cases in order. If any case of a section has a label, all cases of the section must have one."""
    jobs: list[tuple[dict[str, Any], str, bool]] = []
    for section, entries in source.sections.items():
        required = labels and any("label" in entry for entry in entries)
        for entry in entries:
            kept = entry if labels else {key: value for key, value in entry.items() if key != "label"}
            jobs.append((kept, section, required))
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        examined = pool.map(lambda job: examine_case(job[0], job[1], label_ids=label_ids, require_label=job[2]), jobs)
        return list(tqdm(examined, f"Reading {source.name}", len(jobs), delay=2, leave=False, disable=None))


def _find_odd_ones(cases: Sequence[Case]) -> None:
    """Add faults to cases whose number of channels or whose intensities differ from those of most cases."""
    readable = [case for case in cases if case.images]
    usual = Counter(sum(image.channels for image in case.images) for case in readable).most_common(1)
    hounsfield = Counter(is_ct(case) for case in readable).most_common(1)
    for case in readable:
        channels = sum(image.channels for image in case.images)
        if channels != usual[0][0]:
            problem = f"{channels} channels, where most cases have {usual[0][0]}"
            case.faults.append(Fault(case.files[0], problem, "Give each case the same channels, or leave it out"))
        if is_ct(case) != hounsfield[0][0]:
            problem = f"intensities {'like' if is_ct(case) else 'unlike'} Hounsfield units, unlike most cases"
            remedy = "Keep CT and MR apart; a CT may lack its rescale intercept (-1024)"
            case.faults.append(Fault(case.files[0], problem, remedy, fatal=False))


def _left_over_files(cases: Sequence[Case]) -> Iterator[Fault]:
    """Yield faults for files among the labels and images of a folder that belong to no case."""
    used = {Path(file) for case in cases for file in (*case.files, case.entry.get("label")) if isinstance(file, str)}
    for folder in sorted({Path(case.files[0]).parent for case in cases}):
        if folder.is_dir() and any(is_nifti(case.files[0]) for case in cases):
            for file in unread_images(folder):
                yield Fault(str(file), "looks like an image and is not read", CONVERT, fatal=False)
        labels = folder.with_name(folder.name.replace("images", "labels", 1))
        problems = {labels: "a label without an image of the same name", folder: "belongs to no case"}
        for place, problem in problems.items():
            for file in sorted(place.glob("*")):
                if is_nifti(file) and file.name[0] != "." and file not in used:
                    yield Fault(str(file), problem, "Rename it, list it, or move it away", fatal=False)


def _item(case: Case) -> dict[str, Any]:
    return {
        "name": case.name,
        "section": case.section,
        "good": case.good,
        "entry": dict(case.entry),
        "images": [image._asdict() for image in case.images],
        "label_ids": None if case.label is None else sorted(case.label.ids),
    }


def _listed(case: Case, place: Path | None) -> dict[str, Any]:
    """Return the case as an entry of a JSON file that lies in the folder ``place``."""

    def shorter(value: Any) -> Any:
        if isinstance(value, list):
            return [shorter(element) for element in value]
        if place is not None and isinstance(value, str) and Path(value).is_relative_to(place):
            return f"./{Path(value).relative_to(place)}"
        return value

    named_by_file = case.name == case_name(case.files[0])
    return {key: shorter(value) for key, value in case.entry.items() if key != "name" or not named_by_file}
