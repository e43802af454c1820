"""The 13 abdominal organs, and how public data sets number them."""

from collections.abc import Mapping
from typing import NamedTuple

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
    """How the ids of a data set become those of ``ORGANS``.

    Attributes:
        given: ids of the data set, ascending.
        ours: the id of each in ``ORGANS``, 0 for what is none of them.
        annotated: ids of ``ORGANS`` that the data set has, background first: what can be scored on it.
    """

    given: list[int]
    ours: list[int]
    annotated: list[int]

    @property
    def names(self) -> list[str]:
        """Names of the annotated organs, without the background."""
        return [ORGANS[index] for index in self.annotated[1:]]


def label_map(name: str | Mapping[int | str, int]) -> LabelMap:
    """The label map of a data set.

    Args:
        name: ``btcv``, ``flare22`` or ``amos``; or a mapping from ids of the data set to ids of ``ORGANS``, in which
            all ids must stand that occur in the labels (0 is background, unless it says otherwise).

    Raises:
        ValueError: another name; a mapping to something else than 0 to 13.

    Examples:
        >>> label_map("flare22").ours[:4]
        [0, 6, 2, 1]
    """
    if isinstance(name, str):
        if name not in _NAMES:
            raise ValueError(
                f"label_map must be one of {', '.join(_NAMES)}, or a mapping from the ids of the data to ours "
                f"({', '.join(f'{index} {organ}' for index, organ in enumerate(ORGANS))}), got {name!r}."
            )
        ids = {given: _ID[organ] for given, organ in _NAMES[name].items()}
    else:
        ids = {0: 0} | {int(given): ours for given, ours in name.items()}
    wrong = {given: ours for given, ours in ids.items() if ours not in range(len(ORGANS))}
    if wrong:
        raise ValueError(f"label_map must lead to whole numbers from 0 to {len(ORGANS) - 1}, got {wrong}.")
    given = sorted(ids)
    return LabelMap(given, [ids[index] for index in given], sorted({0, *ids.values()}))
