"""Write a bundle in the form of a pull request to the MONAI Model Zoo."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..packing.pack import chosen, staged

logger = logging.getLogger(__name__)

TEMPLATES = Path(__file__).with_name("zoo_tests")
LARGEST = 25 * 2**20  # of a file in the zoo's repository


def request(bundles: Path, output_dir: Path, names: Sequence[str] = ()) -> list[Path]:
    """Write ``models/<name>`` and ``ci/unit_tests/test_<name>.py`` with its ``_dist`` twin, for a checkout of the zoo.

    Args:
        bundles: Folder of bundles.
        output_dir: Created; a checkout of Project-MONAI/model-zoo, or any other folder. Files of the same bundles are
            replaced.
        names: Names of bundles; all when empty.

    Returns:
        The folders of the bundles.

    Raises:
        ValueError: as ``stage``; a file that is too large for the zoo's repository.
        RuntimeError: a network cannot be scripted.
    """
    tests = output_dir / "ci" / "unit_tests"
    tests.mkdir(parents=True, exist_ok=True)
    folders = []
    for name in chosen(bundles, names):
        with staged(bundles / name) as (source, _):
            for file in source.rglob("*"):
                if file.stat().st_size > LARGEST:
                    raise ValueError(
                        f"{file.relative_to(source.parent)} is larger than the 25 MB that the zoo's git takes."
                    )
            folder = output_dir / "models" / name
            if folder.exists():
                shutil.rmtree(folder)
            folders.append(Path(shutil.copytree(source, folder)))
        for ending in ("", "_dist"):
            write_test(name, TEMPLATES / f"test_bundle{ending}.txt", tests / f"test_{name}{ending}.py")
        logger.info(f"{folder}, {tests / f'test_{name}.py'} and its _dist twin")
    return folders


def write_test(name: str, template: Path, file: Path) -> None:
    """Fill a bundle's name into a template of the zoo's unit tests."""
    words = "".join(word.capitalize() for word in name.split("_"))
    file.write_text(template.read_text(encoding="utf-8").replace("BUNDLE_NAME", name).replace("ClassName", words))
