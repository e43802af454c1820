"""Record and compare the settings that a resumed run must share with the run that it continues."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..data.cache import item_key
from .overrides import ADDED_BY_OTHERS
from .workflow import find_workflow, processes

# Settings that may change when a run is resumed: folders, devices, logging and the place of the data. The data are
# compared by their content.
NEUTRAL = (
    "bundle_root", "dataset_dir", "datalist", "series", "output_dir", "model_dir", "run_dir", "device", "num_workers",
    "resume", "publish", "skip_bad", "imports", "initialize", "run", "finalize", "keys", "modes", "cuda",
    "train#handlers", "train#preview", "gradient_shares", "train#dataset#data", "validate#dataset#data",
    "validate#handlers", "validate#evaluator#val_handlers", "train#dataloader#num_workers",
    "validate#dataloader#num_workers", *ADDED_BY_OTHERS,
)  # fmt: skip
DATA = {"training data": "train::dataset", "validation data": "validate::dataset"}


def run_settings() -> dict[str, Any]:
    """Return the settings of the running bundle workflow as plain values by key, and its data by their content.

    Returns:
        Keys such as ``seed`` or ``optimizer#lr`` with numbers, words and None; ``training data``, ``validation data``
        with the number of cases and a hash of their files; ``processes``. Empty if no workflow is running.
    """
    workflow = find_workflow()
    if workflow is None:
        return {}
    settings = {key: value for key, value in _leaves(workflow.parser.get()) if not _is_neutral(key)}
    for name, id in DATA.items():
        if id in workflow.parser:
            items = workflow.parser.get_parsed_content(id).data
            digest = hashlib.sha256(b"".join(item_key(item) for item in items)).hexdigest()
            settings[name] = f"{len(items)} cases, {digest[:12]}"
    settings["processes"] = processes()
    return settings


def differences(saved: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """Return one line per setting that differs, such as ``seed: 0 there, 7 here``; no lines if either is empty."""
    if not saved or not current:
        return []
    keys = [key for key in dict.fromkeys((*saved, *current)) if saved.get(key) != current.get(key)]
    return [f"{key}: {_shown(saved, key)} there, {_shown(current, key)} here" for key in keys]


def _shown(settings: Mapping[str, Any], key: str) -> str:
    text = str(settings.get(key, "absent"))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_neutral(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}#") for name in NEUTRAL)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dictionaries by their path; lists are one value, as JSON."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}#{key}" if path else str(key))
    elif value is None or isinstance(value, (bool, int, float, str)):
        yield path, value
    else:
        yield path, json.dumps(value, default=str, sort_keys=True)
