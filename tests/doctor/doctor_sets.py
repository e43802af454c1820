"""Small data sets for the doctor, and what it says of them."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
from data.nifti_files import AFFINE, IMAGE, LABEL, SHAPE, nifti, save, with_value
from rich.console import Console

from ssl3d.doctor.table import show

FLIP = np.array([[1, 0, 0, 25], [0, -1.5, 0, 20], [0, 0, 2, -10], [0, 0, 0, 1]])  # AFFINE of the array, flipped along D


def scan(number: int) -> np.ndarray:
    return np.random.default_rng(number + 100).normal(100, 30, SHAPE).astype(np.float32)


def label_of(image: np.ndarray) -> np.ndarray:
    return (image > 100).astype(np.uint8) + (image > 130)


def add(folder: Path, name: str, image: np.ndarray, label: np.ndarray | None = None, matrix=AFFINE) -> None:
    for kind, array in (("imagesTr", image), ("labelsTr", label_of(image) if label is None else label)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        save(array, matrix)(folder / kind / f"{name}.nii.gz")


def list_cases(folder: Path, file: str = "dataset.json", more: dict | None = None, **sections: list[int]) -> None:
    entries = {
        section: [
            {"image": f"imagesTr/case_{number}.nii.gz", "label": f"labelsTr/case_{number}.nii.gz"} for number in numbers
        ]
        for section, numbers in sections.items()
    }
    (folder / file).write_text(json.dumps({"name": "Set", "licence": "CC0-1.0", **(more or {}), **entries}))


def problems(document: dict, fatal: bool = True) -> dict[str, str]:
    """Name of a file -> what is wrong with it."""
    return {Path(f["file"]).name: f["problem"] for f in document["faults"] if f["fatal"] == fatal}


def text(document: dict, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show(document, console)
    return console.file.getvalue()


def good_set(folder: Path) -> Path:
    """Six good cases in the layout of the Decathlon, without its JSON file."""
    for number in range(6):
        add(folder, f"case_{number}", scan(number))
    return folder


def broken_set(folder: Path) -> Path:
    """The six good cases, a copy, and one case of each of many faults."""
    faults = {
        "empty": lambda path: path.write_bytes(b""),
        "text": lambda path: path.write_bytes(gzip.compress(b"not an image" * 99)),
        "cut": lambda path: path.write_bytes(gzip.compress(nifti())[:400]),
        "nan": save(with_value(np.nan)),
        "constant": save(IMAGE * 0),
        "metres": save(IMAGE, AFFINE @ np.diag([1e-3, 1e-3, 1e-3, 1])),
        "a very long name of a patient that was never anonymised [bold] 2024-01-01": save(IMAGE[..., 0]),
    }
    for name, write in faults.items():
        write(folder / "imagesTr" / f"{name}.nii.gz")
        save(LABEL)(folder / "labelsTr" / f"{name}.nii.gz")
    add(folder, "copy", scan(1))
    add(folder, "half_label", scan(20), label_of(scan(20))[:3])
    return folder
