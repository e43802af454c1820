"""The list of cases that a bundle trains, validates or tests on."""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from ..files import folders
from ..files.texts import counted
from ..imaging.dicom.cases import with_series
from ..synthetic import synthesize
from ..synthetic.writer import GENERATOR_VERSION
from .label_ids import BACKGROUND, absent_ids, describe_absent
from .sections import allows_no_validation, check_split, describe_patients, split_source
from .sources import Source, read_source
from .splits import SECTIONS, labelled_subset
from .validation import validate

logger = logging.getLogger(__name__)

LABELS = ("required", "optional", "ignored")


class Datalist(list):
    """Validated cases of one section of a data set, as a plain list of dictionaries.

    Each item has ``image`` (path, or list of paths, one per channel), ``name``, ``group`` (cases of one anatomy; by
    default the data set's name), ``label`` if there is one (path or class number), other keys of the JSON file
    unchanged, and ``synthetic: True`` if the data are synthetic.

    Sections and folds that the data set declares are kept; otherwise the cases are split by ``split``, scans of one
    patient together (see ``split_source``).

    If a case's image is a folder of DICOM files, one of their series is chosen (see ``choose_series``). ``image`` then
    becomes a folder with the case's name below ``cache_dir``, which holds links to the slices of that series. An entry
    of the JSON file may select the series by ``series``.

    Args:
        dataset_dir: Folder with ``dataset.json``, NIfTI files or DICOM files (see ``read_source``). None: the folder of
            ``datalist`` if that is given, else synthetic anatomy of ``kind``, made once below ``cache_dir``.
        section: ``training``, ``validation`` or ``test``; ``all``: every case, as for inference.
        datalist: JSON file, absolute or relative to ``dataset_dir``.
        kind: Kind of the synthetic anatomy.
        synthesis: Further arguments of ``synthesize``, such as ``subjects``, ``size``, ``contrasts``.
        split: ``positional``, ``hippocampus``, ``pretraining``, ``none``, ``folds K/I``, ``fold I``, or a JSON file
            with the names of each section (see ``split_source``).
        labels: ``required`` (an item without label is a fault), ``optional``, or ``ignored`` (dropped, never read).
        label_ids: Ids that a label may hold, or a mapping from these ids to the names of their classes; None: any
            integer.
        channels: Number of channels of the image; None: any number.
        series: SeriesInstanceUID or description of the series to read in DICOM cases whose entry names none. In a
            description ``*`` matches any text, and letter case is ignored.
        num_labelled: Number k of training cases to use, the first k of a shuffle; None, 0 or "all": all.
        seed: Seed of the shuffle.
        skip_bad: Leave bad cases out instead of raising.
        cache_dir: See ``ssl3d.data.cache_dir``.

    Attributes:
        skipped: Faults of the cases left out.
        skip_bad, cache_dir: See the arguments.
        synthetic: Whether the data are synthetic.
        corpus: Name, number of cases and licence, in the form of a passport.
        sections: Section -> names of its cases, before any are left out; empty for section ``all``.
        how: Origin of the sections, for a log line.

    Raises:
        FileNotFoundError: ``dataset_dir`` or ``datalist`` does not exist, or holds no images.
        DataError: bad files, all of them named; DICOM cases whose volume is not clear or not complete.
        ImportError: there are DICOM files, and pydicom or a decoder for their compression is not installed.
        ValueError: an unknown word for ``section``, ``split`` or ``labels``; neither ``dataset_dir`` nor ``kind``;
            a bad JSON file; a section without cases (validation may be empty where ``split`` asks for none);
            ``num_labelled`` above the number of training cases.

    Examples:
        >>> Datalist(None, "training", kind="hippocampus_mri")[0]["name"]  # doctest: +SKIP
        'hippocampus_000'
    """

    def __init__(
        self,
        dataset_dir: str | Path | None,
        section: Literal["training", "validation", "test", "all"],
        *,
        datalist: str | Path | None = None,
        kind: str | None = None,
        synthesis: Mapping[str, Any] | None = None,
        split: str = "positional",
        labels: Literal["required", "optional", "ignored"] = "required",
        label_ids: Iterable[int] | Mapping[int, str] | None = None,
        channels: int | None = 1,
        series: str | None = None,
        num_labelled: int | Literal["all"] | None = None,
        seed: int = 0,
        skip_bad: bool = False,
        cache_dir: str | Path | None = None,
    ) -> None:
        for name, value, known in (("section", section, (*SECTIONS, "all")), ("labels", labels, LABELS)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")
        check_split(split)
        if dataset_dir is None and datalist is not None:
            datalist = Path(datalist).expanduser().absolute()
            dataset_dir = datalist.parent
        names = {int(id): str(name) for id, name in label_ids.items()} if isinstance(label_ids, Mapping) else {}
        label_ids = None if label_ids is None else [int(value) for value in label_ids]
        source = read_source(_folder(dataset_dir, kind, synthesis or {}, cache_dir), datalist, cache_dir, channels)
        self.sections: dict[str, list[str]] = {}
        self.how = note = ""
        if section == "all":
            entries = [entry for part in source.sections.values() for entry in part]
            total = len(entries)
        else:
            divided = split_source(source, split)
            entries, self.how = divided.sections[section], divided.how
            self.sections = {part: [entry["name"] for entry in found] for part, found in divided.sections.items()}
            note = describe_patients(divided, [name for names in self.sections.values() for name in names])
            if not entries and not (section == "validation" and allows_no_validation(split)):
                raise ValueError(_no_section(source.name, section, self.sections, self.how))
            total = len(entries)
            if section == "training" and num_labelled not in (None, 0, "all"):
                patients = [divided.patients[entry["name"]] for entry in entries]
                entries = labelled_subset(entries, int(num_labelled), seed, patients)
        items = [with_series(_item(entry, source, labels), series, cache_dir) for entry in entries]
        good, self.skipped = validate(
            items,
            channels=channels,
            label_ids=label_ids,
            require_label=labels == "required",
            skip_bad=skip_bad,
            cache_dir=cache_dir,
        )
        super().__init__(good)
        if section == "training" and label_ids is not None and labels == "required":
            used = [id for id in label_ids if names.get(id) != BACKGROUND]
            absent = absent_ids(good, used, cache_dir)
            if absent:
                logger.warning("%s: %s", source.name, describe_absent(absent, used, names or source.labels))
        self.skip_bad, self.cache_dir = skip_bad, cache_dir
        self.synthetic = source.synthetic
        self.corpus = [{"name": source.published_name, "count": len(self), "licence": source.licence}]
        logger.info(
            "%s: %s.%s",
            source.name,
            _amount(len(self), total, "" if section == "all" else f"{section} "),
            f" {note}." if note and section == "training" else "",
        )


def _folder(
    dataset_dir: str | Path | None, kind: str | None, synthesis: Mapping[str, Any], cache_dir: str | Path | None
) -> Path:
    if dataset_dir is None:
        if kind is None:
            raise ValueError("Neither dataset_dir nor kind is given: no data to read and none to make.")
        logger.warning(
            "No dataset_dir is given: using SYNTHETIC anatomy of kind %s. It shows the mechanics, and nothing about "
            "images of people. Give your own data with --dataset_dir.",
            kind,
        )
        return _synthetic_folder(kind, synthesis, cache_dir)
    return folders.data_folder(dataset_dir)


def _synthetic_folder(kind: str, synthesis: Mapping[str, Any], cache_dir: str | Path | None) -> Path:
    settings = json.dumps([GENERATOR_VERSION, dict(synthesis)], sort_keys=True)
    name = f"{kind}_{hashlib.sha256(settings.encode()).hexdigest()[:12]}"
    folder = folders.cache_dir(cache_dir) / "synthetic" / name
    if not (folder / "dataset.json").is_file():
        try:
            synthesize(kind, folder, **synthesis)
        except OSError:
            if not (folder / "dataset.json").is_file():  # else another process was first
                raise
    return folder


def _amount(used: int, total: int, kind: str) -> str:
    """Describe how many of the cases are used."""
    return counted(used, f"{kind}case") if used == total else f"{used} of {counted(total, f'{kind}case')}"


def _no_section(name: str, section: str, sections: Mapping[str, list[str]], how: str) -> str:
    found = ", ".join(f"{len(names)} for {part}" for part, names in sections.items() if names)
    remedy = f'list cases under "{section}" in its JSON file, or choose another --split'
    return f"{name} has no {section} section ({how}): it has {found}. Choose one of these with --section, {remedy}."


def _item(entry: dict[str, Any], source: Source, labels: str) -> dict[str, Any]:
    item = {"group": source.name, **entry}
    if labels == "ignored":
        item.pop("label", None)
    if source.synthetic:
        item["synthetic"] = True
    return item
