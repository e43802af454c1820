"""Summarise a data set in a few numbers, and derive settings for a bundle."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..imaging.hounsfield import looks_hounsfield
from .facts import PERCENTILES, Case

WINDOW_RANGE = (-1000, 3000)  # HU
STRIDE, LARGEST_ROI = 16, 96  # voxels: the compact U-Net's coarsest stride, and a crop that trains on one GPU


def is_ct(case: Case) -> bool:
    """Tell whether the intensities of a case's first image look like those of a CT."""
    percentiles = case.images[0].percentiles
    return looks_hounsfield(percentiles[0], percentiles[-1])


def summary(cases: Sequence[Case], names: Mapping[int, str]) -> dict[str, Any]:
    """Compute ``cases``, ``images``, ``labels`` and ``window`` of ``examine``'s document.

    Numbers of images are minimum, median and maximum over the readable ones. ``window`` (two numbers, HU; None unless
    CT) is the median over cases of percentiles 0.5 and 99.5 within the labels, or of the whole image if there are no
    labels.
    """
    found = {
        "total": len(cases),
        "good": sum(case.good for case in cases),
        "labelled": sum("label" in case.entry for case in cases),
        "sections": dict(Counter(case.section for case in cases)),
    }
    readable = [case for case in cases if case.images]
    images: dict[str, Any] = {}
    window = None
    if readable:
        every = [image for case in readable for image in case.images]
        hounsfield = sum(map(is_ct, readable))
        images = {
            "channels": _counts(sum(image.channels for image in case.images) for case in readable),
            "types": _counts(image.kind for image in every),
            "axes": _counts(image.axes for image in every),
            "hounsfield": hounsfield,
            "size": _spread([image.size for image in every]),
            "spacing": _spread([image.spacing for image in every]),
            "percentiles": {"of": list(PERCENTILES), **_spread([image.percentiles for image in every])},
        }
        if 2 * hounsfield > len(readable):
            window = _window([case for case in readable if is_ct(case)])
    return {"cases": found, "images": images, "labels": _labels(cases, names), "window": window}


BUNDLES = {  # bundles that are suggested, with the split of their train.json
    "gvsl_pretraining": "pretraining",
    "abdominal_ct_segmentation": "positional",
    "hippocampus_mri_segmentation": "hippocampus",
}


def suggested_bundle(found: Mapping[str, Any]) -> str:
    """Suggest a bundle for a summary: a segmentation bundle if there are label maps, else a pre-training bundle."""
    if not any(label["voxels"] for label in found["labels"]):
        return "gvsl_pretraining"
    return "abdominal_ct_segmentation" if found["window"] else "hippocampus_mri_segmentation"


def suggested_settings(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the overrides of a bundle's ``train.json`` that suit a data set: key -> value.

    ``pixdim`` is the median spacing. ``roi_size`` is the median size at that spacing, rounded down to a multiple of the
    network's stride, at most 96 voxels.
    """
    settings: dict[str, Any] = {"dataset_dir": document["folder"]}
    if document["written"] or document["datalist"]:
        settings["datalist"] = document["written"] or document["datalist"]
    if document["split"]["problem"] and document["cases"]["total"]:
        settings["split"] = "none"
    images, ids = document["images"], [label["id"] for label in document["labels"]]
    if images:
        settings |= suggested_scale(images)
        channels = int(max(images["channels"], key=images["channels"].get))
        if channels > 1:
            settings |= {"cases#channels": channels, "network_def#backbone#in_channels": channels}
    if ids and not any(label["voxels"] for label in document["labels"]):
        settings["cases#label_ids"] = ids  # classes of whole scans
    elif len(ids) > 1 and ids == list(range(len(ids))):
        settings["label_names"] = ",".join(label["name"] for label in document["labels"][1:])
    if document["small"] or (not document["written"] and document["cases"]["good"] < document["cases"]["total"]):
        settings["skip_bad"] = True
    return settings


def suggested_scale(images: Mapping[str, Any]) -> dict[str, Any]:
    """Suggest ``pixdim`` and ``roi_size`` for the ``images`` of a summary."""
    pixdim = [float(f"{mm:.2g}") for mm in images["spacing"]["median"]]
    extent = np.multiply(images["size"]["median"], images["spacing"]["median"])
    sides = (extent / pixdim // STRIDE * STRIDE).clip(STRIDE, LARGEST_ROI)
    return {"pixdim": pixdim, "roi_size": [int(side) for side in sides]}


def _labels(cases: Sequence[Case], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return one row per id that occurs in a good label map or that the data set names."""
    maps = [case.label.ids for case in cases if case.label is not None and case.label.file not in case.broken]
    classes = [int(label) for case in cases if isinstance(label := case.entry.get("label"), int)]
    rows = []
    for number in sorted({*names, *classes, *(number for ids in maps for number in ids)}):
        name = names.get(number) or ("background" if number == 0 and not classes else f"label {number}")
        voxels = sum(ids.get(number, 0) for ids in maps)
        count = sum(number in ids for ids in maps) + classes.count(number)
        rows.append({"id": number, "name": name, "cases": count, "voxels": voxels})
    return rows


def _window(cases: Sequence[Case]) -> list[int]:
    labelled = [case.foreground for case in cases if case.foreground is not None]
    whole = [(case.images[0].percentiles[0], case.images[0].percentiles[-1]) for case in cases]
    low, high = np.clip(np.median(labelled or whole, axis=0), *WINDOW_RANGE)
    return [int(10 * np.floor(low / 10)), int(10 * np.ceil(high / 10))]


def _counts(values: Any) -> dict[str, int]:
    return {str(value): count for value, count in Counter(values).most_common()}


def _spread(rows: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    """Return minimum, median and maximum of each column of (n, columns)."""
    table = np.array(rows, dtype=float)
    found = {"lowest": table.min(0), "median": np.median(table, 0), "highest": table.max(0)}
    return {name: [float(f"{value:.6g}") for value in values] for name, values in found.items()}
