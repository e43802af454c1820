"""Define the passport of a weights file: training data, method, licence, and the hash of the file."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..files.atomic import replacing
from ..files.readable_json import readable_json
from ..files.texts import read_json

PARTS = ("encoder", "backbone", "network")
INTENSITIES = {"window": ("lower", "upper"), "percentiles": ("lower", "upper"), "z-score": ()}
TRAINED = ("encoder", "backbone")
_OPTIONAL = ("sha256", "results", "trained", "label_names")


@dataclass(frozen=True, kw_only=True)
class Passport:
    """Provenance of one weights file; the JSON beside it (``model.pt`` has ``model.json``) holds exactly these fields.

    Attributes:
        method: Name of the training method, such as ``"gvsl"``, ``"mae"`` or ``"supervised"``.
        backbone: Class of the backbone, such as ``"UNet3d"``.
        backbone_arguments: Arguments of the backbone's constructor, in JSON's types.
        part: Part of a network that the file fills: ``"encoder"``, ``"backbone"`` or ``"network"`` (everything).
        network: Name of the network, such as ``"student"``, ``"teacher"`` or ``"SegmentationNet"``.
        trained: Part of the backbone that was trained and is transferred: ``"backbone"`` or ``"encoder"``.
        corpus: Training data, one ``{"name", "count", "licence"}`` per set; count = number of volumes.
        synthetic: Whether any of the training images is synthetic.
        spacing: Voxel size in mm along the three axes of ``orientation``.
        orientation: Directions of the axes (D, H, W), three letters such as ``"RAS"``.
        intensity: ``{"kind": "window", "lower", "upper"}`` in the image's unit (HU for CT), ``{"kind": "percentiles",
            "lower", "upper"}`` in 0 .. 100, or ``{"kind": "z-score"}``.
        roi_size: Training crop (D, H, W) in voxels.
        steps: Number of optimiser steps.
        seed: Seed of the run.
        ssl3d_version: Version of ssl3d used for the training.
        licence: Licence of the weights, with the conditions of the training data that apply to them.
        sha256: SHA-256 of the weights file, 64 hexadecimal digits; empty until ``ssl3d.weights.save`` fills it in.
        results: Measured results, one ``{"metric", "value", "command"}`` each; the command repeats the measurement.
        label_names: Names of the classes 1, 2 and so on of a segmentation. Empty for other networks, and in passports
            of earlier versions, whose weights have the classes of their bundle.

    Raises:
        ValueError: a value that is not as described; the message names the field and the value.
    """

    method: str
    backbone: str
    backbone_arguments: dict[str, Any]
    part: str
    network: str
    corpus: list[dict[str, Any]]
    synthetic: bool
    spacing: list[float]
    orientation: str
    intensity: dict[str, Any]
    roi_size: list[int]
    steps: int
    seed: int
    ssl3d_version: str
    licence: str
    sha256: str = ""
    results: list[dict[str, Any]] = field(default_factory=list)
    trained: str = "backbone"
    label_names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("method", "backbone", "network", "ssl3d_version", "licence"):
            self._require(_is_text(getattr(self, name)), name, "text that is not empty")
        self._require(isinstance(self.backbone_arguments, dict), "backbone_arguments", "a dictionary")
        self._require(self.part in PARTS, "part", f"one of {', '.join(PARTS)}")
        self._require(self.trained in TRAINED, "trained", f"one of {', '.join(TRAINED)}")
        self._require(
            _is_sequence(self.corpus)
            and all(_has(e, name=_is_text, count=_is_count, licence=_is_text) for e in self.corpus),
            "corpus",
            'a list of {"name": text, "count": whole number, "licence": text}',
        )
        self._require(isinstance(self.synthetic, bool), "synthetic", "true or false")
        self._require(
            _is_sequence(self.spacing, 3) and all(_is_number(mm) and mm > 0 for mm in self.spacing),
            "spacing",
            "three positive numbers (mm)",
        )
        self._require(
            isinstance(self.orientation, str) and sorted(map(_axis, self.orientation)) == [0, 1, 2],
            "orientation",
            'one letter of each of L/R, P/A and I/S, such as "RAS"',
        )
        self._require(
            isinstance(self.intensity, dict)
            and self.intensity.get("kind") in INTENSITIES
            and _has(self.intensity, kind=_is_text, **dict.fromkeys(INTENSITIES[self.intensity["kind"]], _is_number)),
            "intensity",
            " or ".join(json.dumps({"kind": kind, **dict.fromkeys(keys, 0)}) for kind, keys in INTENSITIES.items()),
        )
        self._require(
            _is_sequence(self.roi_size, 3) and all(_is_count(n) and n > 0 for n in self.roi_size),
            "roi_size",
            "three positive whole numbers (voxels)",
        )
        self._require(_is_count(self.steps), "steps", "a whole number from 0")
        self._require(_is_count(self.seed), "seed", "a whole number from 0")
        self._require(
            isinstance(self.sha256, str) and re.fullmatch("[0-9a-f]{64}|", self.sha256) is not None,
            "sha256",
            "64 lower-case hexadecimal digits",
        )
        self._require(
            _is_sequence(self.results)
            and all(_has(e, metric=_is_text, value=_is_number, command=_is_text) for e in self.results),
            "results",
            'a list of {"metric": text, "value": number, "command": text}',
        )
        self._require(
            _is_sequence(self.label_names)
            and all(map(_is_text, self.label_names))
            and len(set(self.label_names)) == len(self.label_names),
            "label_names",
            "a list of different names",
        )

    def _require(self, valid: bool, name: str, wanted: str) -> None:
        if not valid:
            raise ValueError(f"Passport: {name} must be {wanted}, got {getattr(self, name)!r}.")


def _axis(letter: str) -> int:
    return next((axis for axis, ends in enumerate(("LR", "PA", "IS")) if letter in ends), -1)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_sequence(value: Any, length: int | None = None) -> bool:
    return isinstance(value, list | tuple) and length in (None, len(value))


def _has(entry: Any, **checks: Any) -> bool:
    return isinstance(entry, dict) and entry.keys() == checks.keys() and all(checks[k](entry[k]) for k in entry)


def beside(weights: str | Path) -> Path:
    """Return the path of a weights file's passport: the same name, ending in ``.json``."""
    return Path(weights).with_suffix(".json")


def read(path: str | Path) -> Passport:
    """Read a passport from a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON, lacks a field, or has an unknown or invalid one; the message names the file.
    """
    try:
        entries = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path} is not a passport: {error}") from error
    known = [entry.name for entry in fields(Passport)]
    missing = [name for name in known if name not in entries and name not in _OPTIONAL]
    unknown = [name for name in entries if name not in known]
    if missing or unknown:
        complaints = [f"{text} {', '.join(names)}" for text, names in (("lacks", missing), ("has", unknown)) if names]
        raise ValueError(f"{path} is not a passport: it {' and '.join(complaints)}; the fields are {', '.join(known)}.")
    try:
        return Passport(**entries)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error


def passport_of(weights: str | Path) -> Passport | None:
    """Read the passport beside a weights file; None if there is none. Only ``load`` checks that they belong together.

    Raises:
        ValueError: as ``read``.
    """
    path = beside(weights)
    return read(path) if path.is_file() and path != Path(weights) else None


def write(passport: Passport, path: str | Path) -> None:
    """Write a passport as JSON, replacing the file atomically; fields are in the order of the class.

    Raises:
        OSError: the folder does not exist or cannot be written to.
    """
    with replacing(Path(path)) as temporary:
        temporary.write_text(text_of(passport), encoding="utf-8")


def text_of(passport: Passport) -> str:
    """Return the content of a passport's file."""
    return readable_json(asdict(passport))


def differences(passport: Passport, preprocessing: Mapping[str, Any]) -> list[str]:
    """Describe how a run's preprocessing differs from that of the weights, one sentence per difference.

    Args:
        passport: Passport of the weights.
        preprocessing: Any of ``orientation`` (letters), ``spacing`` (3 numbers, mm) and ``intensity`` in the form of
            the passport; missing entries are not compared. Numbers agree within 0.1 %.

    Raises:
        ValueError: another key.
    """
    sentences = []
    for key, here in preprocessing.items():
        if key not in ("orientation", "spacing", "intensity"):
            raise ValueError(f"preprocessing has orientation, spacing and intensity, not {key!r}.")
        trained = getattr(passport, key)
        if not _agree(trained, here):
            unit = " mm" if key == "spacing" else ""
            sentences.append(
                f"{key}: the weights were trained with {_show(trained)}{unit}, this run uses {_show(here)}{unit}."
            )
    return sentences


def _agree(a: Any, b: Any) -> bool:
    if isinstance(a, dict) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_agree(a[key], b[key]) for key in a)
    if _is_sequence(a) and _is_sequence(b):
        return len(a) == len(b) and all(map(_agree, a, b))
    if _is_number(a) and _is_number(b):
        return math.isclose(a, b, rel_tol=1e-3)
    return a == b


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(_show(entry) for entry in value.values())
    return " x ".join(map(str, value)) if _is_sequence(value) else str(value)
