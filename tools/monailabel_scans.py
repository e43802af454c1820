"""Scans for tools/monailabel_demo.sh: OUTPUT/studies as the server wants them, OUTPUT/truth/MODEL with correct labels.

    python tools/monailabel_scans.py OUTPUT DATA MODEL...

Each model's scans are synthetic anatomy of the kind that its train.json names; hippocampi are test cases of the Medical
Segmentation Decathlon where the folder DATA has them.
"""

import json
import shutil
import sys
from pathlib import Path

from ssl3d.data import hippocampus_split, synthesize

BUNDLES = Path(__file__).parents[1] / "bundles"
SEVERAL = {"hippocampus_mri_segmentation": 5}  # one to be labelled, the others to be trained on


def scans_of(model: str, data: Path, folder: Path) -> list[tuple[Path, Path]]:
    """Pairs of a scan and its correct label; synthetic ones are written to ``folder``."""
    count = SEVERAL.get(model, 1)
    real = data / "msd_hippocampus"
    if model.startswith("hippocampus") and real.is_dir():
        names = hippocampus_split([file.name.removesuffix(".nii.gz") for file in (real / "labelsTr").glob("h*")])[
            "test"
        ]
        return [(real / "imagesTr" / f"{name}.nii.gz", real / "labelsTr" / f"{name}.nii.gz") for name in names[:count]]
    kind = json.loads((BUNDLES / model / "configs" / "train.json").read_text())["cases"]["kind"]
    synthesize(kind, folder, subjects=count, size=64)
    entries = json.loads((folder / "dataset.json").read_text())["training"]
    return [(folder / entry["image"], folder / entry["label"]) for entry in entries]


def main(output: Path, data: Path, models: list[str]) -> None:
    """Write the scans of all models."""
    studies = output / "studies"
    studies.mkdir(parents=True)
    for model in models:
        truth = output / "truth" / model
        truth.mkdir(parents=True)
        for image, label in scans_of(model, data, output / "synthetic" / model):
            shutil.copy(image, studies / label.name)
            shutil.copy(label, truth)
        print(f"{model}: {', '.join(sorted(file.name for file in truth.iterdir()))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] or "/nonexistent"), sys.argv[3:])
