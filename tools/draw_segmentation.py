"""Draws a scan with a reference segmentation above and a prediction below, in the slices that hold most organs.

The patient's right and front are on the left; the window is -175 to 250 HU.

Example:
    python tools/draw_segmentation.py ct.nii.gz labels.nii.gz ct_seg.nii.gz picture.png --label_map map.json
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from monai.transforms import Compose, MapLabelValued, Orientationd, SqueezeDimd

from ssl3d.data import label_map
from ssl3d.evaluation.preview import COLOURS, PLANES
from ssl3d.transforms import LoadVolumed

KEYS = ("image", "reference", "prediction")
WINDOW = (-175, 250)  # HU


def main() -> None:
    """Read three NIfTI files of one grid, write one PNG."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for key in KEYS:
        parser.add_argument(key, type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--label_map", default="btcv", help="how the reference numbers the organs (default: btcv)")
    arguments = parser.parse_args()
    mapping = label_map(arguments.label_map)
    load = Compose(
        [
            LoadVolumed(KEYS),
            MapLabelValued("reference", mapping.given, mapping.ours),
            Orientationd(KEYS, axcodes="RAS", labels=None),
            SqueezeDimd(KEYS),
        ]
    )
    item = load({key: str(getattr(arguments, key)) for key in KEYS})
    image, *classes = (np.asarray(item[key]) for key in KEYS)
    spacing = np.linalg.norm(np.asarray(item["image"].affine)[:3, :3], axis=0)
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    grid = figure.subplots(2, 3)
    for column, plane in enumerate(PLANES):
        across, up = (axis for axis in range(3) if axis != column)
        counts = [
            [(np.take(classes[0], i, column) == o).any() for o in mapping.annotated[1:]]
            for i in range(image.shape[column])
        ]
        index = int(np.sum(counts, axis=1).argmax())
        for row, (name, volume) in enumerate(zip(KEYS[1:], classes, strict=True)):
            axes = grid[row, column]
            look = {"origin": "lower", "aspect": spacing[up] / spacing[across], "interpolation": "nearest"}
            axes.imshow(np.take(image, index, column).T, cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], **look)
            for organ in mapping.annotated[1:]:
                mask = organ == np.take(volume, index, column).T
                if mask.any():
                    axes.contour(mask, levels=[0.5], colors=COLOURS[organ - 1], linewidths=1.5)
            axes.set_title(f"{name}, {plane} {index}", fontsize=10)
            axes.set_axis_off()
            axes.invert_xaxis()  # the patient's right and front are on the left
    for organ, name in zip(mapping.annotated[1:], mapping.names, strict=True):
        grid[0, 0].plot([], [], color=COLOURS[organ - 1], label=name)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=9)
    figure.savefig(arguments.picture)


if __name__ == "__main__":
    main()
