"""List the pairs that a registration bundle registers or is evaluated on."""

import itertools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..files.texts import printable, read_json
from ..imaging.dicom.cases import with_series
from .datalist import LABELS, Datalist
from .pairs import by_group, chances
from .sources import UNNAMED, licence_of, listed_sections, name_of, portable, published_name_of
from .splits import SECTIONS, case_name
from .validation import validate

ROLES = ("fixed", "moving")
Pair = tuple[Mapping[str, Any], Mapping[str, Any]]  # fixed, moving: items with image, name, group


class PairList(list):
    """Validated pairs of a fixed and a moving volume, as a plain list of dictionaries.

    Each item has ``fixed`` and ``moving`` (paths), ``name`` (``<moving>_onto_<fixed>``), ``group``, and
    ``synthetic: True`` if the data are synthetic. As far as the volumes have them, it also has ``fixed_label`` and
    ``moving_label`` (paths of label maps), ``fixed_landmarks`` and ``moving_landmarks`` (paths of JSON files: by name,
    a dictionary with ``world``, mm, RAS).

    The pairs come from the first available source:

    1. the two files ``fixed`` and ``moving``;
    2. the entries of the JSON file, if they have ``fixed`` and ``moving``;
    3. random pairs of two different volumes of one group of a ``Datalist``. Groups are drawn in proportion to the
       square root of their size, and no ordered pair is drawn twice.

    Args:
        dataset_dir: Folder of the data set, see ``Datalist``; entries of a JSON file are relative to it.
        section: ``training``, ``validation``, ``test``, or ``all``.
        fixed, moving: Files, or folders of DICOM files, relative to the working directory.
        fixed_label, moving_label: Label maps of the two files, if any.
        datalist, kind, synthesis, split: See ``Datalist``.
        series: Series of DICOM volumes, see ``Datalist``; ``fixed_series`` and ``moving_series`` of a pair in a JSON
            file take precedence.
        labels: ``required`` (a volume without label map is a fault), ``optional``, or ``ignored`` (never read).
        pairs: Number of pairs to draw; all pairs if there are fewer.
        seed: Seed of the draw.
        skip_bad: Leave pairs with bad files out instead of raising.
        cache_dir: See ``ssl3d.data.cache_dir``.

    Attributes:
        skipped, skip_bad, cache_dir, synthetic, corpus: See ``Datalist``; the corpus counts volumes.

    Raises:
        FileNotFoundError, DataError: see ``Datalist``. A volume must be 3D with one channel.
        ValueError: a word or number out of range; a pair without its partner; a pair listed twice; no pairs.

    Examples:
        >>> PairList(None, "test", kind="hippocampus_mri", pairs=1)[0]["name"]  # doctest: +SKIP
        'hippocampus_007_onto_hippocampus_003'
    """

    def __init__(
        self,
        dataset_dir: str | Path | None,
        section: Literal["training", "validation", "test", "all"],
        *,
        fixed: str | Path | None = None,
        moving: str | Path | None = None,
        fixed_label: str | Path | None = None,
        moving_label: str | Path | None = None,
        datalist: str | Path | None = None,
        kind: str | None = None,
        synthesis: Mapping[str, Any] | None = None,
        split: str = "positional",
        series: str | None = None,
        labels: Literal["required", "optional", "ignored"] = "optional",
        pairs: int = 50,
        seed: int = 0,
        skip_bad: bool = False,
        cache_dir: str | Path | None = None,
    ) -> None:
        for name, value, known in (("section", section, (*SECTIONS, "all")), ("labels", labels, LABELS)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
        if not isinstance(pairs, int) or pairs < 1:
            raise ValueError(f"pairs must be a whole number from 1 up, got {pairs!r}.")
        files = {"fixed": fixed, "moving": moving, "fixed_label": fixed_label, "moving_label": moving_label}
        given = {role: str(Path(file).expanduser().absolute()) for role, file in files.items() if file is not None}
        content = {"name": "given files"} if given else _pair_file(dataset_dir, datalist)
        if content is None:
            volumes = Datalist(
                dataset_dir,
                section,
                datalist=datalist,
                kind=kind,
                synthesis=synthesis,
                split=split,
                series=series,
                labels=labels,
                skip_bad=skip_bad,
                cache_dir=cache_dir,
            )
            chosen = draw_pairs(volumes, pairs, seed)
            self.skipped, self.synthetic, self.corpus = volumes.skipped, volumes.synthetic, volumes.corpus
        else:
            entries = [given | {"where": "The run"}] if given else _entries(content, section)
            listed = _volumes(entries, content, labels, series, cache_dir)
            distinct = list({_key(volume): volume for pair in listed for volume in pair}.values())
            good, self.skipped = validate(
                distinct, require_label=labels == "required", skip_bad=skip_bad, cache_dir=cache_dir
            )
            usable = {_key(volume) for volume in good}
            chosen = [pair for pair in listed if usable.issuperset(map(_key, pair))]
            if not chosen:
                raise ValueError("No pair is left, because each has a bad file that was left out. Fix the files.")
            self.synthetic = content.get("synthetic") is True
            licence = licence_of(content)
            self.corpus = [{"name": content.get("published_name", UNNAMED), "count": len(usable), "licence": licence}]
        self.skip_bad, self.cache_dir = skip_bad, cache_dir
        mark = {"synthetic": True} if self.synthetic else {}
        super().__init__(_item(fixed, moving) | mark for fixed, moving in chosen)
        if labels == "required" and any(f"{role}_label" not in item for item in self for role in ROLES):
            raise ValueError(f"{self.corpus[0]['name']} has class numbers for labels: a registration needs label maps.")
        twice = [name for name, count in Counter(item["name"] for item in self).items() if count > 1]
        if twice:
            raise ValueError(f"Pairs are listed twice: {', '.join(twice[:10])}. Name each pair once.")


def draw_pairs(volumes: Sequence[Mapping[str, Any]], pairs: int, seed: int) -> list[Pair]:
    """Draw distinct ordered pairs of two volumes of one group; a longer list begins with the pairs of a shorter one.

    Args:
        volumes: Items with ``group``.
        pairs: Number of pairs to draw; all pairs if there are fewer.
        seed: Seed of the draw.

    Raises:
        ValueError: no group has two volumes.
    """
    found = by_group(volumes)
    groups = [[volumes[number] for number in members] for members in found if len(members) > 1]
    if not groups:
        raise ValueError(
            f"{len(volumes)} volume(s) in {len(found)} group(s) give no pair. A group needs at least two volumes."
        )
    if pairs >= sum(len(group) * (len(group) - 1) for group in groups):
        return [pair for group in groups for pair in itertools.permutations(group, 2)]
    random = np.random.RandomState(seed)
    probabilities = chances(groups)
    drawn: dict[tuple[int, int, int], None] = {}  # in the order of the draws
    while len(drawn) < pairs:
        number = int(random.choice(len(groups), p=probabilities))
        fixed, moving = random.choice(len(groups[number]), 2, replace=False)
        drawn[number, int(fixed), int(moving)] = None
    return [(groups[number][fixed], groups[number][moving]) for number, fixed, moving in drawn]


def _pair_file(dataset_dir: str | Path | None, datalist: str | Path | None) -> dict[str, Any] | None:
    """Read a JSON file of pairs and add its ``folder`` and ``file``; None if it lists cases, for ``Datalist``."""
    if dataset_dir is None and datalist is None:
        return None
    file = Path(dataset_dir or "").expanduser().absolute() / Path(datalist or "dataset.json").expanduser()
    try:
        content = read_json(file)
    except (OSError, ValueError):  # Datalist reports the error
        return None
    entries = [entry for found in content.values() if isinstance(found, list) for entry in found]
    if not any(isinstance(entry, dict) and ("fixed" in entry or "moving" in entry) for entry in entries):
        return None
    content |= {section: [] for section in SECTIONS} | listed_sections(content, file)
    folder = file.parent if dataset_dir is None else Path(dataset_dir).expanduser().absolute()
    names = {"name": name_of(content, folder), "published_name": published_name_of(content)}
    return {**content, **names, "folder": folder, "file": file}


def _entries(content: dict[str, Any], section: str) -> list[dict[str, str]]:
    """Return the pairs of a section, with absolute paths."""
    entries = []
    for part in SECTIONS if section == "all" else (section,):
        for number, entry in enumerate(content.get(part) or [], 1):
            files = entry if isinstance(entry, dict) else {}
            series = {key: value for key, value in files.items() if key.endswith("_series") and value is not None}
            folder = content["folder"]
            files = {key: str(folder / portable(file, folder)) for key, file in files.items() if isinstance(file, str)}
            entries.append({**files, **series, "where": f"{content['file']}, {part} entry {number},"})
    if not entries:
        raise ValueError(f"{content['file']} lists no pairs under {section!r}.")
    return entries


def _volumes(
    entries: Sequence[Mapping[str, str]],
    content: Mapping[str, Any],
    labels: str,
    series: str | None,
    cache_dir: str | Path | None,
) -> list[Pair]:
    """Turn entries into pairs of items in the form of ``Datalist``."""
    for entry in entries:
        missing = [role for role in ROLES if role not in entry]
        if missing:
            found = ", ".join(f"{key} {file}" for key, file in entry.items() if key != "where") or "nothing"
            raise ValueError(
                f"{entry['where']} gives {found}, but not {missing[0]!r}. A pair needs a fixed and a moving file."
            )
    stems = Counter(case_name(image) for image in {entry[role] for entry in entries for role in ROLES})

    def volume(entry: Mapping[str, str], role: str) -> dict[str, Any]:
        image = entry[role]
        name = case_name(image)
        if stems[name] > 1:  # the folder distinguishes files of the same name
            folder = os.path.relpath(Path(image).parent, content.get("folder", Path.cwd()))
            name = f"{folder.replace('..', '').strip(os.sep).replace(os.sep, '_')}_{name}"
        keys = ("series", "landmarks") if labels == "ignored" else ("series", "label", "landmarks")
        more = {key: entry[f"{role}_{key}"] for key in keys if f"{role}_{key}" in entry}
        return with_series(
            {"image": image, "name": printable(name), "group": str(content["name"]), **more}, series, cache_dir
        )

    return [(volume(entry, "fixed"), volume(entry, "moving")) for entry in entries]


def _key(volume: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Return a key that identifies a volume; ``series`` is part of the key if the series is still undecided."""
    return volume["image"], volume.get("series"), volume.get("label")


def _item(fixed: Mapping[str, Any], moving: Mapping[str, Any]) -> dict[str, Any]:
    item = {"name": f"{moving['name']}_onto_{fixed['name']}", "group": fixed["group"]}
    for role, volume in zip(ROLES, (fixed, moving), strict=True):
        item[role] = volume["image"]
        item |= {f"{role}_{key}": volume[key] for key in ("label", "landmarks") if isinstance(volume.get(key), str)}
    return item
