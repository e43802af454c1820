"""Define the 13 abdominal organs, and the label maps of public data sets to these organs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..files.texts import read_json

# In the order of BTCV (Synapse "Multi-Atlas Labeling Beyond the Cranial Vault", doi:10.7303/syn3193805).
ORGANS = (
    "background",
    "spleen",
    "right kidney",
    "left kidney",
    "gallbladder",
    "esophagus",
    "liver",
    "stomach",
    "aorta",
    "inferior vena cava",
    "portal vein and splenic vein",
    "pancreas",
    "right adrenal gland",
    "left adrenal gland",
)
_ID = {name: index for index, name in enumerate(ORGANS)}

# A data set's own id -> the organ's name; organs that are not among the 13 are background.
_NAMES: dict[str, dict[int, str]] = {
    "btcv": dict(enumerate(ORGANS)),
    "flare22": {
        0: "background",
        1: "liver",
        2: "right kidney",
        3: "spleen",
        4: "pancreas",
        5: "aorta",
        6: "inferior vena cava",
        7: "right adrenal gland",
        8: "left adrenal gland",
        9: "gallbladder",
        10: "esophagus",
        11: "stomach",
        12: "background",  # duodenum
        13: "left kidney",
    },
    "amos": {
        0: "background",
        1: "spleen",
        2: "right kidney",
        3: "left kidney",
        4: "gallbladder",
        5: "esophagus",
        6: "liver",
        7: "stomach",
        8: "aorta",
        9: "inferior vena cava",
        10: "pancreas",
        11: "right adrenal gland",
        12: "left adrenal gland",
        13: "background",  # duodenum
        14: "background",  # bladder
        15: "background",  # prostate or uterus
    },
}


class LabelMap(NamedTuple):
    """Mapping from the ids of a data set to classes, by default those of ``ORGANS``.

    Attributes:
        given: Ids of the data set, ascending.
        ours: Class of each id, 0 (background) for ids of no class.
        annotated: Classes that the data set has and that can be scored, background first.
    """

    given: list[int]
    ours: list[int]
    annotated: list[int]

    @property
    def names(self) -> list[str]:
        """Names of the annotated organs, without the background."""
        return [ORGANS[index] for index in self.annotated[1:]]


def label_map(name: str | Mapping[int | str, int], classes: Sequence[str] = ORGANS[1:]) -> LabelMap:
    """Return the label map of a data set.

    Args:
        name: ``btcv``, ``flare22`` or ``amos``, which lead to ``ORGANS``; or a mapping from ids of the data set to
            classes, which must list all ids that occur in the labels (0 is background unless listed); or the path of a
            JSON file with such a mapping.
        classes: Names of the network's classes 1, 2 and so on.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another name, or one of a public data set with classes other than ``ORGANS``; a file that is no
            JSON object; a mapping from or to anything but whole numbers, or to a number that is not a class.

    Examples:
        >>> label_map("flare22").ours[:4]
        [0, 6, 2, 1]
    """
    if isinstance(name, str) and name in _NAMES:
        if tuple(classes) != ORGANS[1:]:
            raise ValueError(
                f"label_map {name} leads to the {len(ORGANS) - 1} abdominal organs, but the classes are "
                f"{', '.join(classes)}. Leave label_map out, or give a JSON file that leads to these classes."
            )
        return _of_ids({given: _ID[organ] for given, organ in _NAMES[name].items()})
    mapping: Mapping = _read(name, classes) if isinstance(name, str) else name
    wrong = {
        given: ours
        for given, ours in mapping.items()
        if not str(given).isdecimal() or isinstance(ours, bool) or ours not in range(len(classes) + 1)
    }
    if wrong:
        raise ValueError(
            f"label_map must lead from ids of the data to whole numbers from 0 to {len(classes)}, got {wrong}."
        )
    return _of_ids({0: 0} | {int(given): int(ours) for given, ours in mapping.items()})


def _of_ids(ids: dict[int, int]) -> LabelMap:
    given = sorted(ids)
    return LabelMap(given, [ids[index] for index in given], sorted({0, *ids.values()}))


def _read(name: str, classes: Sequence[str]) -> dict[str, int]:
    """Return the mapping in a JSON file."""
    if not name.endswith(".json"):
        numbered = ", ".join(f"{index} {organ}" for index, organ in enumerate(("background", *classes)))
        raise ValueError(
            f"label_map must be one of {', '.join(_NAMES)}, a JSON file, or a mapping from the ids of the data to the "
            f"classes ({numbered}), got {name!r}."
        )
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise FileNotFoundError(
            f"The label_map {path} does not exist. Give the path of a JSON file, or a data set's name."
        )
    try:
        return read_json(path)
    except ValueError as error:
        raise ValueError(f"The label_map {error}") from error
