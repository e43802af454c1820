"""Render the configs of the bundles from their recipes.

``bundles/<name>/recipe.json`` says what a bundle is: facts such as its classes and spacing, and below ``configs`` what
it adds to or replaces in single configs. Its ``family``, such as ``pretraining/gvsl``, names folders of templates in
``tools/bundle_families``. Each config is the outermost template of its name, then those of the inner folders, then the
part of the recipe, merged as MONAI merges config files: ``a#b`` is a nested id, ``+a`` extends a list or a dictionary.
``%recipe#pixdim`` stands for a fact of the recipe; as an entry of a list, a fact that is a list is spliced in.

Of ``configs/metadata.json`` only mechanical parts are rendered. What people write and measure, such as version,
description and results, stays as it is; a new bundle starts with the values of the template. Passports are copies of
those in ``models/``.

Example:
    python tools/build_bundles.py                            # render all bundles
    python tools/build_bundles.py --check gvsl_pretraining   # change nothing, exit 1 and name the files that differ
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.bundle.utils import merge_kv

from ssl3d.files.readable_json import readable_json
from ssl3d.release.packing.pack import BY_PRODUCTS

ROOT = Path(__file__).parents[1]
FAMILIES = Path(__file__).with_name("bundle_families")
FACT = "%recipe#"
HERE = "..."  # the key of a template where others add theirs
METADATA = "metadata.json"
WRITTEN = (  # of the metadata: by people, and by measurement
    "version", "changelog", "task", "description", "data_source", "image_classes", "label_classes", "pred_classes",
    "intended_use", "references", "recommended_backbone", "eval_metrics",
)  # fmt: skip
DEMONSTRATION = "DEMONSTRATION WEIGHTS, trained on synthetic anatomy, not for images of people. "
COPIED = {  # the same files in every bundle
    "LICENSE": ROOT / "LICENSE",
    "configs/logging.conf": FAMILIES / "logging.conf",
    "scripts/__init__.py": FAMILIES / "door.py",
}


def render(bundle: Path, recipe: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the configs of a bundle by file name.

    Args:
        bundle: Folder of the bundle, for what people have written in its metadata and for its passports.
        recipe: Content of ``recipe.json``.

    Raises:
        ValueError: There is no such family; a template asks for a fact that the recipe does not have.
    """
    passports = {
        file.name: json.loads(file.with_suffix(".json").read_text())
        for file in sorted(bundle.glob("models/*.pt*"))
        if file.with_suffix(".json").is_file()
    }
    synthetic = passports.get("model.pt", {}).get("synthetic", False)
    facts = ConfigParser({**recipe, **derived(recipe, synthetic)})
    configs: dict[str, dict[str, Any]] = {}
    for layer in (*layers(recipe["family"]), recipe.get("configs", {})):
        for name, overlay in layer.items():
            if overlay is None:  # a config that this family does not have
                configs.pop(name, None)
            else:
                configs[name] = merged(configs.get(name, {}), filled(overlay, facts))
    for config in configs.values():
        config.pop(HERE, None)
    configs[METADATA] = with_written(configs[METADATA] | {"passports": passports}, bundle / "configs" / METADATA)
    return configs


def layers(family: str) -> Iterator[dict[str, Any]]:
    """Yield the templates of each folder of a family by file name, the outermost folder first."""
    folder = FAMILIES
    for part in ("", *family.split("/")):
        folder = folder / part
        if not folder.is_dir():
            there = sorted(str(path.relative_to(FAMILIES)) for path in FAMILIES.rglob("*") if path.is_dir())
            raise ValueError(f"There is no family {family!r}. There are: {', '.join(there)}.")
        yield {file.name: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}


def derived(recipe: Mapping[str, Any], synthetic: bool) -> dict[str, Any]:
    """Return the facts that follow from those of a recipe.

    ``classes`` of a segmentation is a text such as ``"liver, spleen"``, or maps each name to its long form in the
    metadata.
    """
    facts: dict[str, Any] = {
        "method": recipe["family"].rpartition("/")[2],
        "in_channels": len(recipe["channels"]),
        "channel_def": {str(index): name for index, name in enumerate(recipe["channels"])},
        "channel_list": ", ".join(f"{index} {name}" for index, name in enumerate(recipe["channels"])),
        "description": DEMONSTRATION * synthetic + recipe["title"],
    }
    if "classes" in recipe:
        classes = recipe["classes"]
        classes = {name: name for name in classes.split(", ")} if isinstance(classes, str) else classes
        long = list(classes.values())
        names = ["background", *(f"{name} (demo)" if synthetic else name for name in long)]
        facts["label_names"] = ", ".join(classes)
        facts["class_def"] = {str(index): name for index, name in enumerate(names)}
        facts["out_channels"] = len(names)
        facts["class_list"] = ", ".join(f"{index} {name}" for index, name in enumerate(("background", *long)))
    return facts


def filled(value: Any, facts: ConfigParser) -> Any:
    """Return a part of a template with the facts that it asks for."""
    if isinstance(value, dict):
        return {key: filled(entry, facts) for key, entry in value.items()}
    if isinstance(value, list):
        entries: list[Any] = []
        for entry in value:
            new = filled(entry, facts)
            entries += new if is_fact(entry) and isinstance(new, list) else [new]
        return entries
    if not is_fact(value):
        return value
    id = value.removeprefix(FACT)
    if id not in facts:
        raise ValueError(f"The recipe has no {id!r}, which a template of its family asks for.")
    return filled(deepcopy(facts[id]), facts)


def is_fact(value: Any) -> bool:
    """Return whether a value of a template stands for a fact of the recipe."""
    return isinstance(value, str) and value.startswith(FACT)


def merged(config: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with an overlay on top of it.

    An id such as ``train#crop`` goes into the ``train`` that the config has. Where the config has none, because it is
    an overlay itself, the id remains a key. A new key gets its place behind the key that it follows in the overlay, the
    first one at the key ``...`` of the template.
    """
    result, order, previous = deepcopy(dict(config)), list(config), None
    for key, value in overlay.items():
        id = key.removeprefix("+")
        parts = id.split("#")
        heads = ["#".join(parts[:count]) for count in range(len(parts), 0, -1)]
        top = next((head for head in heads if head in result), None)
        if top is None:
            top = key
            result[top] = value
            order.insert(place(order, previous), top)
        else:
            part = ConfigParser({"part": result[top]})
            merge_kv(part, f"{key[: -len(id)]}part{id.removeprefix(top)}", value)
            result[top] = part["part"]
        previous = top
    return {key: result[key] for key in order}


def place(order: Sequence[str], previous: str | None) -> int:
    """Return where a new key belongs in the keys of a config."""
    if previous is not None:
        return order.index(previous) + 1
    return order.index(HERE) if HERE in order else len(order)


def with_written(metadata: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return rendered metadata with what people have written into ``file`` so far."""
    there = json.loads(file.read_text()) if file.is_file() else {}
    if not there:
        return metadata
    rest = {key: value for key, value in metadata.items() if key not in WRITTEN}
    return merged(there, rest)


def build(bundle: Path, check: bool = False) -> list[Path]:
    """Write the rendered files of a bundle, or only compare them; return those that differed.

    Configs that the recipe does not have are reported too; they are never deleted.
    """
    rendered = {Path("configs", name): c for name, c in render(bundle, read(bundle)).items()}
    texts = {file: readable_json(config) for file, config in rendered.items()}
    texts |= {Path(file): source.read_text() for file, source in COPIED.items()}
    differing = []
    for file, text in texts.items():
        target = bundle / file
        if target.is_file() and target.read_text() == text:
            continue
        differing.append(target)
        if not check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    others = {file for file in bundle.glob("configs/*.json") if file.relative_to(bundle) not in texts}
    return differing + sorted(others - {bundle / by_product for by_product in BY_PRODUCTS})


def read(bundle: Path) -> dict[str, Any]:
    """Return the recipe of a bundle."""
    return json.loads((bundle / "recipe.json").read_text())


def main() -> None:
    """Render the named bundles, or with ``--check`` fail where a file differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 and name the files that differ")
    parser.add_argument("--root", type=Path, default=ROOT / "bundles", help="folder of bundles (default: bundles)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="bundles (default: all that have a recipe)")
    arguments = parser.parse_args()
    names = arguments.names or sorted(file.parent.name for file in arguments.root.glob("*/recipe.json"))
    differing = [file for name in names for file in build(arguments.root / name, arguments.check)]
    for file in differing:
        print(f"{'differs from its recipe' if arguments.check else 'rendered'}: {file}")
    raise SystemExit(1 if differing and arguments.check else 0)


if __name__ == "__main__":
    main()
