"""Draws slices of a synthetic data set, each beside the same slice with its labels, as the documentation shows them.

Axial, coronal and sagittal, where most structures are cut (where a set has classes, in the middle, and the class is
written above); the patient's right and front are on the left. CT is shown in the soft-tissue window (level 40, width
400), chests in that of the lungs (-600, 1500), MR from its 1st to its 99.5th percentile.

Example:
    ssl3d synthesize abdominal_ct abdomens --subjects 3 --size 128
    python tools/draw_synthetic.py abdomens abdomens.png
"""

import argparse
import json
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

PLANES = ((2, "axial"), (1, "coronal"), (0, "sagittal"))  # axis of an RAS volume across the plane
SOFT_TISSUE, LUNGS = (-160.0, 240.0), (-1350.0, 150.0)  # HU


def main() -> None:
    """Draw the first subjects of a data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset_dir", type=Path, help="folder with dataset.json")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--subjects", type=int, default=3, help="how many, the first ones")
    arguments = parser.parse_args()
    content = json.loads((arguments.dataset_dir / "dataset.json").read_text(encoding="utf-8"))
    entries = content["training"][: arguments.subjects]
    classes = isinstance(entries[0]["label"], int)
    columns = len(PLANES) * (1 if classes else 2)
    figure = Figure(figsize=(3 * columns, 3 * len(entries)), layout="constrained", facecolor="black")
    axes = figure.subplots(len(entries), columns, squeeze=False)
    for row, entry in zip(axes, entries, strict=True):
        image = _canonical(arguments.dataset_dir, entry["image"])
        labels = None if classes else np.asarray(_canonical(arguments.dataset_dir, entry["label"]).dataobj)
        if content["modality"]["0"] == "CT":
            window = LUNGS if classes else SOFT_TISSUE
        else:
            window = tuple(np.percentile(image.dataobj, (1, 99.5)))
        shown = content["labels"][str(entry["label"])] if classes else content["kind"]
        for (axis, name), panels in zip(PLANES, row.reshape(len(PLANES), -1), strict=True):
            _draw(panels, image, labels, axis, window)
            panels[0].set_title(f"{shown}, {name}", color="white", fontsize=8)
    figure.savefig(arguments.picture, dpi=100)


def _canonical(folder: Path, file: str | list[str]) -> nib.Nifti1Image:
    """The volume in RAS; of several contrasts the first."""
    return nib.as_closest_canonical(nib.load(folder / (file if isinstance(file, str) else file[0])))


def _draw(panels: np.ndarray, image: nib.Nifti1Image, labels: np.ndarray | None, axis: int, window: tuple) -> None:
    """One slice of an RAS volume across ``axis``, and beside it the same with its labels where there are any."""
    spacing = np.delete(nib.affines.voxel_sizes(image.affine), axis)
    number = image.shape[axis] // 2
    if labels is not None:
        slices = np.moveaxis(labels, axis, 0)
        counts = [(len(np.unique(plane)), np.count_nonzero(plane)) for plane in slices]
        number = max(range(len(counts)), key=counts.__getitem__)
    settings = {"origin": "lower", "aspect": spacing[1] / spacing[0]}
    grey = np.take(np.asarray(image.dataobj), number, axis=axis).T[:, ::-1]
    for panel in panels:
        panel.imshow(grey, cmap="gray", vmin=window[0], vmax=window[1], **settings)
        panel.set_axis_off()
    if labels is not None:
        overlay = np.take(labels, number, axis=axis).T[:, ::-1]
        colours = colormaps["tab20"](overlay % 20)
        colours[..., 3] = np.where(overlay > 0, 0.55, 0)
        panels[1].imshow(colours, interpolation="nearest", **settings)


if __name__ == "__main__":
    main()
