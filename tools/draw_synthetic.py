"""Draw slices of a synthetic data set, each beside the same slice with its labels.

Each subject is shown in axial, coronal and sagittal slices, in the convention of all pictures of this project (the
patient's right is on the left). The slices hold most structures; in a set with one class per scan they are the middle
ones, and the class is in the title. CT is shown in the soft-tissue window (level 40, width 400 HU), a chest with one
class per scan in the lung window too (level -600, width 1500 HU), MR from its 1st to its 99.5th percentile.

Example:
    ssl3d synthesize abdominal_ct abdomens --subjects 3 --size 128
    python tools/draw_synthetic.py abdomens abdomens.png
"""

import argparse
import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
from matplotlib.figure import Figure

from ssl3d.tasks import drawing
from ssl3d.tasks.drawing import LINE, PLANES, Plane
from ssl3d.tasks.segmentation.label_picture import slice_with_most

SOFT_TISSUE, LUNG = (-160.0, 240.0), (-1350.0, 150.0)  # HU


class Panel(NamedTuple):
    """One picture of a subject: what to draw, and labels to draw over it or None."""

    picture: np.ndarray
    plane: Plane
    spacing: list[float]
    aspect: float
    window: tuple[float, float]
    title: str
    labels: np.ndarray | None = None


def main() -> None:
    """Draw the first subjects of a data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset_dir", type=Path, help="folder with dataset.json")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--subjects", type=int, default=2, help="number of subjects, the first ones")
    arguments = parser.parse_args()
    content = json.loads((arguments.dataset_dir / "dataset.json").read_text(encoding="utf-8"))
    rows = [list(_panels(arguments.dataset_dir, content, e)) for e in content["training"][: arguments.subjects]]
    aspects = np.mean([[panel.aspect for panel in row] for row in rows], axis=0).tolist()
    width, height = drawing.fit(aspects, 2.4, most=13.0)
    figure = Figure(figsize=(width, len(rows) * (height + 2 * LINE) + LINE), layout="constrained")
    figure.suptitle(f"synthetic anatomy: {content['kind']}", fontsize=11)
    axes = figure.subplots(len(rows), len(aspects), squeeze=False, width_ratios=aspects)
    for panel, place in zip(chain.from_iterable(rows), axes.flat, strict=True):
        drawing.show(place, panel.picture, panel.plane, panel.spacing, panel.window, panel.title)
        if panel.labels is not None:
            drawing.overlay(place, panel.labels)
    drawing.save(figure, arguments.picture)


def _canonical(folder: Path, file: str | list[str]) -> nib.Nifti1Image:
    """Read a volume in RAS, the first one of several contrasts."""
    return nib.as_closest_canonical(nib.load(folder / (file if isinstance(file, str) else file[0])))


def _panels(folder: Path, content: dict[str, Any], entry: dict[str, Any]) -> Iterator[Panel]:
    """Yield the panels of a subject, two for each plane: with and without labels, or in two windows."""
    volume = _canonical(folder, entry["image"])
    voxels, spacing = np.asarray(volume.dataobj), nib.affines.voxel_sizes(volume.affine).tolist()
    ct = content["modality"]["0"] == "CT"
    window = SOFT_TISSUE if ct else drawing.window_of(voxels, 1)
    labels, case = None, Path(np.ravel(entry["image"])[0]).name.split(".")[0]
    if isinstance(entry["label"], int):
        case = content["labels"][str(entry["label"])]
    else:
        labels = np.asarray(_canonical(folder, entry["label"]).dataobj)
    for plane in PLANES:
        number = voxels.shape[plane.axis] // 2
        if labels is not None:
            number = slice_with_most(labels, plane, [int(label) for label in np.unique(labels) if label > 0])
        look = drawing.slice_of(voxels, plane, number), plane, spacing, drawing.aspect_of(voxels.shape, spacing, plane)
        title = f"{case}\n{plane.title(number)}"
        if labels is not None:
            yield Panel(*look, window, title)
            yield Panel(*look, window, "labels", drawing.slice_of(labels, plane, number))
        elif ct:
            yield Panel(*look, LUNG, f"{title}\nlung window")
            yield Panel(*look, window, "soft-tissue window")
        else:
            yield Panel(*look, window, title)


if __name__ == "__main__":
    main()
