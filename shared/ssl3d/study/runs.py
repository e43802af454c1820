"""List the runs of a study, and check its settings before any run trains."""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from monai.bundle import ConfigParser

from .. import weights
from ..data.sections import Split, make_folds, split_source
from ..data.sources import Source, read_source
from ..data.splits import SECTIONS
from ..engines.overrides import known_config, nearest, unknown_keys
from ..files.atomic import replacing
from ..files.folders import data_folder
from ..files.readable_json import readable_json

OWN = {  # keys of a bundle that the study sets itself -> what to use instead
    "dataset_dir": "the second argument",
    "output_dir": "the third argument",
    "num_labelled": "--labels",
    "seed": "--seeds",
    "pretrained": "--pretrained",
    "weights": "--pretrained",
    "section": "--section",
    "resume": "nothing: a study always goes on where it was",
    "model_dir": "nothing: weights are in the folder of each run",
}
METRIC = "val_mean_dice"
HELD_OUT = "test"  # section of a fold's cases


class Run(NamedTuple):
    """Training of a study.

    Attributes:
        pretrained: Starting weights, as the bundle's key of that name; ``none`` is training from scratch.
        labels: Number of labelled training cases, or ``all``.
        seed: Seed of the labelled set, the initial weights and the draws.
        fold: Number of the fold that is held out; None without cross-validation.
    """

    pretrained: str
    labels: str
    seed: int
    fold: int | None = None

    def folder(self, root: Path) -> Path:
        """Return the run's folder below the study's folder ``root``."""
        start = self.pretrained.strip("./").replace("/", "_")
        folder = root / start / f"{self.labels}_labels" / f"seed_{self.seed}"
        return folder if self.fold is None else folder / f"fold_{self.fold}"

    @property
    def start(self) -> str:
        """Name in the table: ``scratch``, a bundle's name, or the method in the passport of the weights."""
        if self.pretrained.lower() == "none":
            return "scratch"
        passport = weights.passport_of(self.pretrained) if Path(self.pretrained).is_file() else None
        return passport.method if passport else Path(self.pretrained).name


def check_settings(bundle: Path, settings: Mapping[str, str]) -> ConfigParser:
    """Read the bundle's training config and apply the settings of a study.

    Raises:
        FileNotFoundError: ``bundle`` has no ``configs/train.json``.
        ValueError: a setting that no config of the bundle knows, or that the study sets itself.
    """
    file = bundle / "configs" / "train.json"
    if not file.is_file():
        raise FileNotFoundError(f"{bundle} is not a bundle: it has no configs/train.json.")
    for key in settings:
        if key in OWN:
            raise ValueError(f"--{key} is set by the study. Use {OWN[key]}.")
    parser = ConfigParser()
    parser.read_config(str(file))
    known = dict(parser.get())
    for key, value in settings.items():
        try:
            parser[key] = value
        except (KeyError, ValueError, TypeError, IndexError):
            first, *rest = key.split("#")
            meant = ["#".join([name, *rest]) for name in nearest(first, known)]
            raise ValueError(f"--{key}: {file} has no such key.{_did_you_mean(meant)}") from None
    unknown = unknown_keys(parser.get(), known_config(file.parent))
    if unknown:
        key, near = unknown[0]
        own = difflib.get_close_matches(key, ("labels", "seeds", "pretrained", "section", "jobs", "folds", "epochs"), 1)
        meant = [*own, *(name for name in near if name not in OWN)]
        raise ValueError(f"--{key} is no flag of `ssl3d study` and no key of {bundle.name}.{_did_you_mean(meant)}")
    if parser.get("validate") and METRIC not in (parser.get("validate").get("key_metric") or {METRIC: None}):
        raise ValueError(f"{bundle.name} is not scored by Dice: a study compares segmentation bundles.")
    return parser


def _did_you_mean(flags: Sequence[str]) -> str:
    near = list(dict.fromkeys(flags))[:3]
    return f" Did you mean --{' or --'.join(near)}?" if near else ""


def read_cases(parser: ConfigParser, dataset_dir: Path) -> tuple[Source, Split]:
    """Return the cases of a study in the sections into which the bundle divides them.

    Raises:
        FileNotFoundError, ValueError: See ``read_source`` and ``split_source``.
    """
    datalist = parser.get("datalist")
    cases = parser.get("cases") or {}
    channels = cases.get("channels", 1)
    source = read_source(data_folder(dataset_dir), datalist, channels=channels if isinstance(channels, int) else None)
    split = parser.get("split") or "positional"
    return source, split_source(source, split)


def check_runs(divided: Split, labels: Sequence[str], section: str) -> None:
    """Check that sections and labels suffice.

    Args:
        divided: Sections of the data set.
        labels: Numbers of labelled training cases, or ``all``.
        section: Section to evaluate.

    Raises:
        ValueError: there are too few cases; the message says what to do.
    """
    if section not in SECTIONS:
        raise ValueError(f"section must be one of {', '.join(SECTIONS)}, got {section!r}.")
    counts = {name: len(cases) for name, cases in divided.sections.items()}
    held = ", ".join(f"{count} for {name}" for name, count in counts.items() if count)
    few = sum(counts.values())
    remedy = (
        f"For a table of all {few} cases use cross-validation: --folds {min(5, few)} (leave-one-out: --folds {few})."
    )
    if not counts[section]:
        raise ValueError(f"There are no cases for {section}: there are {held}. Choose another --section. {remedy}")
    check_labels(labels, counts["training"], f"there are {held}", remedy)


def check_labels(labels: Sequence[str], most: int, found: str, remedy: str = "") -> None:
    """Check numbers of labelled cases.

    Raises:
        ValueError: a number that is not from 1 to ``most``, or another word than ``all``.
    """
    for number in labels:
        if number != "all" and not number.isdecimal():
            raise ValueError(f"labels must be whole numbers or all, got {number!r}.")
    wrong = [number for number in labels if number != "all" and not 1 <= int(number) <= most]
    if wrong:
        fitting = [number for number in labels if number not in wrong and number != "all"] or [str(max(1, most // 2))]
        raise ValueError(
            f"--labels {','.join(wrong)}: {found}, so that 1 to {most} labelled cases can be trained on. Choose such "
            f"numbers, or all: --labels {','.join([*fitting, 'all'])}. {remedy}".rstrip()
        )


def write_folds(source: Source, divided: Split, count: int, root: Path) -> list[Path]:
    """Write one split file per fold, with the fold's cases under ``test`` and without validation cases.

    The cases that the data set declares for test are left out.

    Returns:
        Paths of the files.

    Raises:
        ValueError: ``count`` is no possible number of folds.
    """
    declared = {entry["name"] for entry in source.sections.get("test", [])}
    entries = [e for part in source.sections.values() for e in part if e["name"] not in declared]
    unlabelled = [entry["name"] for entry in entries if "label" not in entry]
    if unlabelled:
        entries = [entry for entry in entries if "label" in entry]
    folds = make_folds(entries, count, divided.patients)
    files = []
    for number, held_out in enumerate(folds):
        rest = [entry for fold in folds if fold is not held_out for entry in fold]
        content = {"training": sorted(entry["name"] for entry in rest), HELD_OUT: [entry["name"] for entry in held_out]}
        file = root / "folds" / f"fold_{number}_of_{count}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_text(readable_json(content), encoding="utf-8")
        files.append(file)
    return files


def smallest_training(files: Sequence[Path]) -> int:
    """Return the smallest number of training cases of all folds."""
    return min(len(json.loads(file.read_text(encoding="utf-8"))["training"]) for file in files)


def settings_as_text(settings: Mapping[str, Any]) -> dict[str, str]:
    """Convert values that Fire has read back to text that Fire reads as the same values in the runs."""
    return {key: _as_text(value) for key, value in settings.items()}


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_as_text, value))
    return json.dumps(value) if isinstance(value, list | dict) else str(value)
