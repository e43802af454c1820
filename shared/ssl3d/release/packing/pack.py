"""Pack bundles into zip files that run without ssl3d installed."""

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch
from monai.bundle import ConfigParser, download_large_files

from ... import weights
from ...files.nearest import did_you_mean
from ..exporting import torchscript
from ..zoo.index import index
from .archive import Release, digest, write_zip
from .vendor import runtime_files, third_party

logger = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[2]
# Files of a bundle, beside the weights that its metadata describes; other files in its folder are not packed.
CONTENT = (
    "LICENSE",
    "large_files.*",
    "configs/*.json",
    "configs/logging.conf",
    "docs/**/*",
    "models/model.pt",
    "models/model.json",
    "scripts/**/*.py",
)
BY_PRODUCTS = ("configs/monailabel_train.json",)
HIDDEN = {"__pycache__", "ssl3d"}  # folders, hidden files besides


def pack(bundles: Path, output_dir: Path, names: Sequence[str] = ()) -> list[Path]:
    """Write ``<name>_v<version>.zip`` for bundles, and the index of the folder (see ``index``).

    A zip holds the bundle, the run-time part of the package in ``scripts/ssl3d``, the network as TorchScript in
    ``models/model.ts``, and for a downstream bundle ``models/backbone.pth``: the backbone of the pre-training bundle
    that its metadata names as ``recommended_backbone``. Packing twice gives the same bytes.

    Args:
        bundles: Folder of bundles.
        output_dir: Created; zip files of the same name are replaced.
        names: Names of bundles; all when empty.

    Returns:
        The zip files.

    Raises:
        ValueError: an unknown bundle, or one that ``stage`` refuses.
        RuntimeError: its network cannot be scripted.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    files = []
    for name in chosen(bundles, names):
        with staged(bundles / name) as (folder, release):
            write_zip(folder, folder.parent / release.file)
            files.append(Path(shutil.move(folder.parent / release.file, output_dir / release.file)))
        logger.info(f"{files[-1]}: {files[-1].stat().st_size / 2**20:.1f} MiB, sha256 {digest(files[-1])}")
    index(output_dir)
    return files


def chosen(bundles: Path, names: Sequence[str] = ()) -> list[str]:
    """Return the names of the requested bundles in a folder, by default of all.

    Raises:
        ValueError: there are no bundles, or a requested one is missing; the message gives the nearest name.
    """
    there = sorted(file.parents[1].name for file in bundles.glob("*/configs/metadata.json"))
    if not there:
        raise ValueError(f"{bundles} holds no bundles: name the folder that does.")
    for name in names:
        if name not in there:
            raise ValueError(f"{bundles} has no bundle {name!r}. {did_you_mean(name, there)}")
    return list(names) or there


@contextmanager
def staged(bundle: Path) -> Iterator[tuple[Path, Release]]:
    """Yield a temporary folder with the content of the zip file, the TorchScript network included.

    Raises:
        ValueError: as ``stage``.
        RuntimeError: its network cannot be scripted.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder, release = stage(bundle, Path(scratch))
        torchscript.export(folder)
        yield folder, release


def stage(bundle: Path, folder: Path) -> tuple[Path, Release]:
    """Copy the content of the zip file, except the TorchScript network, to ``folder/<name>``.

    Raises:
        ValueError: a version without its entry in the changelog, weights that are not those of their passport, a
            package that the run-time part imports and the metadata do not list, a large file without a hash.
    """
    target = folder / bundle.name
    for file in content(bundle):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle / file, target / file)
    fetch_large_files(target)
    metadata = json.loads((target / "configs" / "metadata.json").read_text(encoding="utf-8"))
    if metadata["version"] not in metadata["changelog"]:
        raise ValueError(f"{bundle.name}: version {metadata['version']} has no entry in the changelog of its metadata.")
    for file in sorted((target / "models").glob("*.pt*")):
        found = weights.passport_of(file)
        if found is None or found.sha256 != digest(file):
            raise ValueError(f"{bundle.name}: models/{file.name} is not the file that its passport describes.")

    vendored = runtime_files(PACKAGE)
    for module in vendored:
        (target / "scripts" / "ssl3d" / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PACKAGE / module, target / "scripts" / "ssl3d" / module)
    unlisted = third_party(target.rglob("*.py")) - set(metadata["required_packages_version"])
    if unlisted:
        raise ValueError(
            f"{bundle.name}: list {', '.join(sorted(unlisted))} in required_packages_version of its metadata: the "
            "packed bundle imports them."
        )
    if "recommended_backbone" in metadata:
        add_backbone(bundle.parent / metadata["recommended_backbone"], target / "models")
    return target, Release(bundle.name, metadata["version"])


def content(bundle: Path) -> list[Path]:
    """List the files that belong to a bundle, relative to its folder, sorted."""
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    described = [Path("models", name) for name in metadata.get("passports", {})]
    weights = [file.as_posix() for name in described for file in (name, name.with_suffix(".json"))]
    patterns = (*CONTENT, *weights)
    files = {file.relative_to(bundle) for pattern in patterns for file in bundle.glob(pattern) if file.is_file()}
    return sorted(
        file
        for file in files - {Path(name) for name in BY_PRODUCTS}
        if not any(part in HIDDEN or part.startswith(".") for part in file.parts)
    )


def fetch_large_files(bundle: Path) -> None:
    """Fetch what ``large_files.yml`` (or .yaml, .json) names, check the hashes, and leave the list out.

    Raises:
        ValueError: an entry without ``hash_val`` and ``hash_type``, or a file that cannot be had or is another one.
        ImportError: a YAML list where PyYAML is not installed.
    """
    for listing in bundle.glob("large_files.*"):
        if listing.suffix != ".json" and find_spec("yaml") is None:
            raise ImportError(f"{bundle.name}: {listing.name} needs PyYAML: pip install pyyaml, or write it as JSON.")
        for entry in ConfigParser.load_config_file(listing)["large_files"]:
            if not entry.get("hash_val") or not entry.get("hash_type"):
                raise ValueError(f"{bundle.name}: {listing.name} gives no hash_val and hash_type for {entry['path']}.")
        try:
            download_large_files(str(bundle))
        except Exception as error:  # of a class of MONAI's own from 1.6.1 on, RuntimeError before
            raise ValueError(f"{bundle.name}: a file of {listing.name} cannot be had. {error}") from error
        listing.unlink()


def add_backbone(pretraining: Path, models: Path) -> None:
    """Write ``backbone.pth``, the backbone of a pre-training bundle's network, with its passport.

    Raises:
        ValueError: the bundle has no weights with a passport.
    """
    file = pretraining / "models" / "model.pt"
    found = weights.passport_of(file) if file.is_file() else None
    if found is None:
        raise ValueError(f"recommended_backbone: {pretraining.name} has no models/model.pt with its passport.")
    state = torch.load(file, map_location="cpu", weights_only=True)
    backbone = {name: tensor for name, tensor in state.items() if name.startswith("backbone.")}
    weights.save(backbone, models / "backbone.pth", replace(found, part=found.trained))  # not its head
