"""Read the names of classes from a user or from a data set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import folders
from .sources import read_labels

MOST = 255  # label maps are written as uint8


def as_names(value: Any) -> list[str]:
    """Read the names of classes 1, 2 and so on.

    Args:
        value: Text such as ``"head,body,tail"``, a list of names, or a mapping as in ``dataset.json`` (id -> name). A
            name ``background`` in the first place is left out, since it is always there.

    Raises:
        ValueError: anything else, no name, more than 255, or two names that are equal.
    """
    if isinstance(value, Mapping):
        ids = {int(key): name for key, name in value.items() if str(key).isdecimal()}
        if len(ids) != len(value) or sorted(ids.keys() - {0}) != list(range(1, len(ids.keys() - {0}) + 1)):
            raise ValueError(f"label_names must number the classes 1, 2 and so on without gaps, got {dict(value)}.")
        value = [ids[key] for key in sorted(ids) if key]
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Sequence):
        raise ValueError(f"label_names must be names such as head,body,tail, got {value!r}.")
    names = [str(part).strip() for part in parts]
    if names and names[0].lower() == "background":
        del names[0]
    if not names or not all(names) or len({name.lower() for name in names}) < len(names):
        raise ValueError(f"label_names must be different names such as head,body,tail, got {value!r}.")
    if len(names) > MOST:
        raise ValueError(f"label_names has {len(names)} names; at most {MOST} classes can be written.")
    return names


def data_set_names(dataset_dir: str | Path | None, datalist: str | Path | None = None) -> list[str]:
    """Return the names of classes 1, 2 and so on in a data set's JSON file; empty if it names none.

    Args:
        dataset_dir: Folder of the data set; None: the folder of ``datalist``, or no data set.
        datalist: JSON file to read instead of ``dataset.json``, absolute or relative to the folder.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: the JSON file is damaged, the ids that it names have gaps, or two have the same name.
    """
    if dataset_dir is None and datalist is None:
        return []
    folder = (
        Path(datalist).expanduser().absolute().parent  # type: ignore[arg-type]
        if dataset_dir is None
        else folders.data_folder(dataset_dir)
    )
    file = folder / Path(datalist or "dataset.json").expanduser()
    labels = read_labels(file)
    ids = sorted(labels.keys() - {0})
    if ids != list(range(1, len(ids) + 1)):
        raise ValueError(
            f"{file} names the label ids {', '.join(map(str, ids))}, which must be 1, 2 and so on without gaps. "
            "Renumber the labels, or give a name for every id up to the largest with --label_names."
        )
    try:
        return as_names([labels[id] for id in ids]) if ids else []
    except ValueError as error:
        raise ValueError(f'{file}, "labels": {error}') from error


def same_names(one: Sequence[str], other: Sequence[str]) -> bool:
    """Tell whether two lists name the same classes: "Anterior" and "anterior hippocampus" do, head and tail do not."""
    return len(one) == len(other) and all(
        a <= b or b <= a for a, b in zip(map(_words, one), map(_words, other), strict=True)
    )


def _words(name: str) -> set[str]:
    return set(name.lower().replace("_", " ").replace("-", " ").split())
