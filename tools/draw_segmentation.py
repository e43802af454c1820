"""Draw a scan with a reference segmentation above and a prediction below, in the slices that hold most organs.

The picture follows the convention of all pictures of this project (the patient's right is on the left). The window is
-175 to 250 HU.

Example:
    python tools/draw_segmentation.py ct.nii.gz labels.nii.gz ct_seg.nii.gz picture.png --label_map map.json
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from monai.transforms import Compose, MapLabelValued, Orientationd, SqueezeDimd

from ssl3d.data import label_map
from ssl3d.tasks import drawing
from ssl3d.tasks.segmentation.label_picture import draw_label_maps, size_of
from ssl3d.transforms import LoadVolumed

KEYS = ("image", "reference", "prediction")
WINDOW = (-175.0, 250.0)  # HU


def main() -> None:
    """Read three NIfTI files of one grid, write one PNG."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for key in KEYS:
        parser.add_argument(key, type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--label_map", default="btcv", help="how the reference numbers the organs (default: btcv)")
    parser.add_argument("--title", default="", help="title of the picture (default: name of the scan)")
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
    spacing = drawing.spacing_of(item["image"])
    names = dict(zip(mapping.annotated[1:], mapping.names, strict=True))
    figure = Figure(figsize=size_of(image.shape, spacing, 2, names), layout="constrained")
    figure.suptitle(arguments.title or arguments.image.name.split(".")[0], fontsize=11)
    draw_label_maps(figure, image, dict(zip(KEYS[1:], classes, strict=True)), names, spacing, WINDOW)
    drawing.save(figure, arguments.picture)


if __name__ == "__main__":
    main()
