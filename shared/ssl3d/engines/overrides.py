"""Find overrides that no config of the bundle knows, because MONAI accepts a misspelt override silently."""

import difflib
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from pydoc import locate
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.config_item import ComponentLocator, ConfigComponent
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

INSTANTIATION_KEYS = {"_target_", "_requires_", "_disabled_", "_desc_", "_mode_", "_debug_"}
FEW = 15
MOVED = {  # arguments that have moved: (class, argument) -> key below the class
    ("S2DC", "matcher"): "matching#matcher",
    ("S2DC", "dustbin"): "matching#dustbin",
    ("S2DC", "num_iterations"): "matching#num_iterations",
    ("S2DC", "temperature"): "matching#temperature",
    ("S2DC", "contrast_temperature"): "contrast#temperature",
    ("GVSL", "kernel_size"): "ncc#kernel_size",
}
MOVED_KEYS = {"train#random": ("augmentation", "train#crop")}  # keys that now have other names
ADDED_BY_OTHERS: set[str] = {
    *dict(DEFAULT_MLFLOW_SETTINGS["configs"]),  # type: ignore[call-overload]  # --tracking mlflow
    "displayable_configs",  # MONAI Label
}


def unknown_keys(config: dict[str, Any], known: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Find the keys of ``config`` that no file of the bundle has, each with the nearest known names.

    Known are the keys of all ``configs/*.json``, those that experiment tracking and MONAI Label add, and below a
    ``_target_`` the arguments of its signature.

    Args:
        config: Merged config, overrides included.
        known: Config with all keys of the bundle's files, see ``known_config``.

    Returns:
        Pairs of a key, such as ``train#trainer#max_epoch``, and at most three suggestions. If no name is similar, these
        are the first known names.
    """
    return list(_unknown(config, known, "", ComponentLocator()))


def known_config(configs: Path) -> dict[str, Any]:
    """Return the keys that the configs of a bundle have, each overlay on top of its base."""
    known: dict[str, Any] = dict.fromkeys((*ADDED_BY_OTHERS, "_meta_"))
    for file in sorted(configs.glob("*.json")):
        if file.name != "metadata.json":
            base = configs / ("inference.json" if file.name.startswith("inference_") else "train.json")
            files = [base, file] if base.is_file() else [file]  # an overlay makes sense on top of its base only
            known = _merged(known, ConfigParser.load_config_files([str(name) for name in files]))
    return known


def plain_texts(config: Any, known: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield keys with their plain text where the bundle's configs have a component, such as ``dataset``."""
    if isinstance(config, dict) and isinstance(known, dict):
        for key, value in config.items():
            yield from plain_texts(value, known.get(key), f"{path}#{key}" if path else key)
    elif (
        isinstance(config, str)
        and isinstance(known, dict)
        and "_target_" in known
        and config[:1] not in ("$", "@", "%")
    ):
        yield path, config


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return at most three settings with similar names, the most similar first; never keys of MONAI itself."""
    return difflib.get_close_matches(name, _settings(known), n=3, cutoff=0.5)


def _settings(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith("_") and name not in ADDED_BY_OTHERS)


def unknown_targets(config: Any, known: Any, path: str = "") -> Iterator[tuple[str, str, str | None]]:
    """Yield each ``_target_`` that cannot be found and that differs from the bundle's own files.

    Yields:
        Key of the component, its target, and the nearest existing name or None.
    """
    if isinstance(config, list):
        for index, entry in enumerate(config):
            same = known[index] if isinstance(known, list) and index < len(known) else None
            yield from unknown_targets(entry, same, f"{path}#{index}" if path else str(index))
    if not isinstance(config, dict):
        return
    known = known if isinstance(known, dict) else {}
    for key, value in config.items():
        if key != "_target_":
            yield from unknown_targets(value, known.get(key), f"{path}#{key}" if path else key)
        elif isinstance(value, str) and value[:1] not in ("$", "@", "%") and value != known.get(key):
            locator = ComponentLocator()
            if locate(ConfigComponent(config, locator=locator).resolve_module_name()) is None:
                yield path, value, _nearest_target(value, locator)


def _nearest_target(target: str, locator: ComponentLocator) -> str | None:
    *before, last = target.split(".")
    module = locate(".".join(before)) if before else None
    names = dir(module) if before else locator._components_table or {}  # MONAI offers no public access
    near = difflib.get_close_matches(last, [name for name in names if not name.startswith("_")], n=1)
    return ".".join([*before, near[0]]) if near else None


def _merged(first: Any, second: Any) -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {key: _merged(first.get(key), value) for key, value in second.items()}
    return first if isinstance(first, dict) else second


def _unknown(config: Any, known: Any, path: str, locator: ComponentLocator) -> Iterator[tuple[str, list[str]]]:
    if isinstance(config, list):
        for index, entry in enumerate(config):
            same = known[index] if isinstance(known, list) and index < len(known) else None
            yield from _unknown(entry, same, f"{path}#{index}", locator)
    if not isinstance(config, dict):
        return
    known = known if isinstance(known, dict) else dict.fromkeys(config)  # replaced entirely: check signatures only
    names = set(known)
    if "_target_" in config:
        arguments = _arguments(config["_target_"], locator)
        names = INSTANTIATION_KEYS | (set(config) if arguments is None else arguments)
    for key, value in config.items():
        full = f"{path}#{key}" if path else key
        if key in names:
            yield from _unknown(value, known.get(key), full, locator)
        else:
            moved = MOVED.get((str(config.get("_target_")).rpartition(".")[2], key))
            near = [moved] if moved else nearest(key, names) or _settings(names)[:FEW]
            places = [f"{path}#{name}" if path else name for name in near]
            yield full, list(MOVED_KEYS.get(full, places))


def _arguments(target: Any, locator: ComponentLocator) -> set[str] | None:
    """Return the names of a target's arguments; None if it takes any or cannot be inspected."""
    found = locate(ConfigComponent({"_target_": target}, locator=locator).resolve_module_name())
    try:
        parameters = inspect.signature(found).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return {parameter.name for parameter in parameters}
