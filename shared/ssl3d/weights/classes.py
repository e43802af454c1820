"""Choose the classes of a segmentation at training, and read them from the weights' passport afterwards."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.label_ids import BACKGROUND
from ..data.label_names import as_names, data_set_names, same_names
from ..imaging.organs import label_map
from .passport import passport_of

logger = logging.getLogger(__name__)

SHOWN = 20  # names in a message


@dataclass(frozen=True)
class Classes:
    """Classes of a segmentation, and the mapping from the label ids of a data set to these classes.

    Attributes:
        classes: Names of all classes of the network, without the background.
        given: Label ids of the data set, ascending.
        ours: Class of each id, 0 (background) for ids of no class.
        annotated: Classes that the data set has and that can be scored, background first.
    """

    classes: list[str]
    given: list[int]
    ours: list[int]
    annotated: list[int]

    @property
    def names(self) -> list[str]:
        """Names of the annotated classes, without the background."""
        return [self.classes[index - 1] for index in self.annotated[1:]]

    @property
    def by_id(self) -> dict[int, str]:
        """Label id of the data set -> name of the class that it is trained as."""
        return {id: (BACKGROUND, *self.classes)[index] for id, index in zip(self.given, self.ours, strict=True)}

    @property
    def channels(self) -> int:
        """Number of output channels of the network: its classes and the background."""
        return len(self.classes) + 1


def training_classes(
    bundle_names: str | Sequence[str],
    label_names: Any = None,
    dataset_dir: str | Path | None = None,
    datalist: str | Path | None = None,
    map: str | Mapping[int | str, int] | None = None,
) -> Classes:
    """Choose the classes that a network is trained for, and log them with their origin.

    The first available source is used:

    1. ``label_names``;
    2. ``map``, the label map of a public data set, which leads to the classes of the bundle;
    3. the names in the data set's JSON file, if they differ from the bundle's classes;
    4. the classes of the bundle.

    Args:
        bundle_names: Classes of the bundle, in a form that ``label_names`` may have.
        label_names: Names such as ``"head,body,tail"`` or a list of them; None: see above.
        dataset_dir: Folder of the data set, see :func:`ssl3d.data.data_set_names`.
        datalist: JSON file of the data set, see :func:`ssl3d.data.data_set_names`.
        map: Label map from the ids of the data set to classes, see :func:`ssl3d.data.label_map`. None: the ids are
            the class numbers.

    Raises:
        FileNotFoundError: there is no such folder, or no such file of a label map.
        ValueError: names or a label map that cannot be used.
    """
    names, source = as_names(bundle_names), "the bundle's"
    if label_names is not None:
        names, source = as_names(label_names), "label_names"
    elif map is None:
        found = data_set_names(dataset_dir, datalist)
        if found and not same_names(found, names):
            names, source = found, f"named by the data set, instead of the bundle's {len(names)}"
    logger.info(f"Classes: {_listed(names)} ({source}).")
    return _classes(names, map)


def trained_classes(
    bundle_names: str | Sequence[str],
    weights: str | Path | None = None,
    label_names: Any = None,
    dataset_dir: str | Path | None = None,
    datalist: str | Path | None = None,
    map: str | Mapping[int | str, int] | None = None,
) -> Classes:
    """Return the classes that a weights file was trained for, as its passport names them.

    If the weights have no passport, or a passport of an earlier version without classes, the classes are
    ``label_names``, else those of the bundle. A warning tells if the data set names other classes, because an
    evaluation compares classes by number.

    Args:
        bundle_names: Classes of the bundle, in a form that ``label_names`` may have.
        weights: Weights file; None: the network is built for the bundle's classes.
        label_names: Other names for the same classes, or the classes of weights whose passport does not name them.
        dataset_dir: See :func:`training_classes`.
        datalist: See :func:`training_classes`.
        map: See :func:`training_classes`.

    Raises:
        ValueError: ``label_names`` has more or fewer names than the weights have classes; also see
            :func:`training_classes`.
    """
    passport = None if weights is None else passport_of(Path(weights).expanduser())
    trained = list(passport.label_names) if passport is not None else []
    names = trained or as_names(bundle_names)
    if label_names is not None:
        names = as_names(label_names)
        if trained and len(names) != len(trained):
            raise ValueError(
                f"label_names has {len(names)} names ({_listed(names)}), but {weights} was trained for {len(trained)} "
                f"classes ({_listed(trained)}). Leave label_names out: the weights' passport has the names."
            )
        if trained and not same_names(names, trained):
            logger.warning(f"{weights} was trained for {_listed(trained)}; label_names calls them {_listed(names)}.")
    found = [] if map is not None else data_set_names(dataset_dir, datalist)
    if found and not same_names(found, names):
        logger.warning(
            f"The data set names {_listed(found)}, but the weights {weights} were trained for {_listed(names)}. "
            "Classes are compared by number."
        )
    logger.info(f"Classes: {_listed(names)}.")
    return _classes(names, map)


def _classes(names: list[str], map: str | Mapping[int | str, int] | None) -> Classes:
    if map is None:
        ids = list(range(len(names) + 1))
        return Classes(names, ids, ids, ids)
    return Classes(names, *label_map(map, names))


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(f"{number} {name}" for number, name in enumerate(names[:SHOWN], start=1))
    return text + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
