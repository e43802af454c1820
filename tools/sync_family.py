"""Keeps the configs of a family of bundles equal, but for what ``families.json`` lets each bundle have as its own.

A family has a reference bundle, whose values the others take. ``own`` names, for each config file that is compared, the
ids that may differ, each with everything below it, such as ``network_def`` or ``train#deterministic#3``; ``own_of``
names further ones of single bundles, and ``null`` where a bundle has no such config.

Example:
    python tools/sync_family.py            # bring the others up to date with their reference
    python tools/sync_family.py --check    # change nothing, exit 1 and name each difference
"""

import argparse
import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ssl3d.files.readable_json import readable_json

ROOT = Path(__file__).parents[1]


def synced(reference: Any, other: Any, own: Collection[str], path: str = "") -> Any:
    """``other`` with every value of ``reference`` that is not its own; new keys stand where the reference has them."""
    if isinstance(reference, dict) and isinstance(other, dict):
        result = {}
        for key in _ordered(reference, other):
            below = f"{path}#{key}" if path else key
            if below in own:
                if key in other:
                    result[key] = other[key]
            elif key in reference:
                result[key] = synced(reference[key], other.get(key), own, below)
        return result
    if isinstance(reference, list) and isinstance(other, list) and len(reference) == len(other):
        pairs = enumerate(zip(reference, other, strict=True))
        return [b if f"{path}#{i}" in own else synced(a, b, own, f"{path}#{i}") for i, (a, b) in pairs]
    return reference


def differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Ids at which two configs differ, the deepest that both have."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in _ordered(expected, found):
            below = f"{path}#{key}" if path else key
            if key in expected and key in found:
                yield from differences(expected[key], found[key], below)
            else:
                yield below
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (a, b) in enumerate(zip(expected, found, strict=True)):
            yield from differences(a, b, f"{path}#{index}")
    elif expected != found:
        yield path


def _ordered(reference: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Keys of both: those of the reference in their order, the others each behind its neighbour."""
    keys, previous = list(reference), None
    for key in other:
        if key not in reference:
            keys.insert(0 if previous is None else keys.index(previous) + 1, key)
        previous = key
    return keys


def main() -> None:
    """Bring the bundles of all families up to date, or with ``--check`` fail where one is not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 where a file would change")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this one)")
    arguments = parser.parse_args()
    drifted = False
    for family in json.loads((arguments.root / "tools" / "families.json").read_text()).values():
        for name, own in family["own"].items():
            reference, *others = (
                arguments.root / "bundles" / bundle / "configs" / name
                for bundle in (family["reference"], *family["others"])
            )
            pattern = json.loads(reference.read_text())
            for file in others:
                more = family.get("own_of", {}).get(file.parents[1].name, {}).get(name, [])
                if more is None:
                    continue
                found = json.loads(file.read_text())
                expected = synced(pattern, found, [*own, *more])
                for path in differences(expected, found):
                    drifted = True
                    print(f"{file.relative_to(arguments.root)}: {path} differs from {family['reference']}")
                if not arguments.check:
                    file.write_text(readable_json(expected))
    if drifted:
        print(
            "Run tools/sync_family.py, or name the id in tools/families.json."
            if arguments.check
            else "Brought up to date."
        )
    raise SystemExit(1 if drifted and arguments.check else 0)


if __name__ == "__main__":
    main()
