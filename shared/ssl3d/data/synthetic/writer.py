"""Synthetic subjects on disk: the layout of the Medical Segmentation Decathlon, landmarks and fields beside it."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from tqdm import tqdm

from .anatomy import LABELS
from .appearance import CONTRASTS, MODALITIES
from .label_maps import CONTRAST, LabelMaps
from .subject import HIPPOCAMPUS_LABELS, Subject, brain_subject, hippocampus_subject

KINDS = ("brain_mri", "hippocampus_mri")
GENERATOR_VERSION = 2  # raise it with every change of what a seed gives: older sets are then not taken for new ones
SMALLEST_SIZE = 16


def synthesize(
    kind: str,
    output_dir: str | Path,
    subjects: int = 8,
    seed: int = 0,
    size: int = 96,
    contrasts: str | Sequence[str] = "t1n",
    label_maps: str | Path | None = None,
) -> Path:
    """Write a data set of synthetic anatomy: images, labels, landmarks, deformation fields, ``dataset.json``.

    Everything drawn for a subject is a function of (seed, subject index). Subjects of a kind share one topology; the
    exact map between each subject and the common template is written beside it:

    - ``imagesTr/brain_000.nii.gz`` (several contrasts: ``brain_000_t1n.nii.gz`` and so on, a list in ``dataset.json``,
      which MONAI's ``LoadImaged`` stacks as channels), int16; ``labelsTr/brain_000.nii.gz``, uint8;
    - ``landmarks/brain_000.json``: by name, ``world`` (mm, RAS), ``voxel`` (of the image as stored), ``label`` (id);
    - ``fields/brain_000.nii.gz``: NIfTI displacement vectors (shape ``(X, Y, Z, 1, 3)``, mm, RAS) from each voxel's
      world position to its point of the template.

    The set is built in a folder beside ``output_dir`` and renamed when complete. A set of the same settings is reused.

    Args:
        kind: ``brain_mri``, whole heads in a field of view of 192 mm, with varied orientation and slice thickness; or
            ``hippocampus_mri``, crops of 1 mm voxels around the right hippocampus with the labels of MSD Task04.
        output_dir: new or empty folder, or one with a set of the same settings.
        subjects: how many, at least 1.
        seed: from 0 up.
        size: voxels along an axis of a ``brain_mri`` volume, so 192 / size mm each, at least 16; 96 gives 2 mm, 192
            gives 1 mm. The crops of ``hippocampus_mri`` keep their own sizes (31-43 x 40-59 x 24-47).
        contrasts: of ``t1n, t1c, t2w, t2f`` (T1, T1 contrast-enhanced, T2, FLAIR); a sequence or comma-separated.
        label_maps: for ``brain_mri``, a folder of NIfTI label maps to deform and paint with one random contrast per
            structure in the place of the template; ``contrasts`` then does not apply.

    Returns:
        Path of ``dataset.json``.

    Raises:
        ValueError: an unknown kind or contrast, a number out of range, an unusable folder of label maps.
        FileExistsError: ``output_dir`` holds something else.
        FileNotFoundError: ``label_maps`` does not exist.
        NotADirectoryError: ``output_dir`` is a file.
    """
    names = tuple(part.strip() for part in contrasts.split(",")) if isinstance(contrasts, str) else tuple(contrasts)
    _check(kind, subjects, seed, size, names, label_maps)
    settings: dict[str, Any] = {
        "kind": kind,
        "subjects": subjects,
        "seed": seed,
        "size": size if kind == "brain_mri" else None,
        "contrasts": list(names) if label_maps is None else [CONTRAST],
        "label_maps": None if label_maps is None else str(Path(label_maps).resolve()),
        "generator_version": GENERATOR_VERSION,
    }
    output_dir = Path(output_dir)
    if _holds(output_dir, settings):
        return output_dir / "dataset.json"
    make, labels = _maker(kind, seed, size, names, label_maps)

    output_dir.parent.mkdir(parents=True, exist_ok=True)
    building = output_dir.with_name(f".{output_dir.name}.{os.getpid()}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        for folder in ("imagesTr", "labelsTr", "landmarks", "fields"):
            (building / folder).mkdir(parents=True)
        stem = kind.removesuffix("_mri")
        training = [
            _write_subject(make(index), building, f"{stem}_{index:03d}", kind)
            for index in tqdm(range(subjects), desc=f"synthetic {kind}", unit="subject", disable=None)
        ]
        content = _description(settings, labels, training)
        (building / "dataset.json").write_text(json.dumps(content, indent=1) + "\n")
        try:
            if output_dir.is_dir():
                output_dir.rmdir()  # empty, or the next line would replace what it holds
            building.rename(output_dir)
        except OSError:
            if not _holds(output_dir, settings):  # else another process was faster, with the same set
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return output_dir / "dataset.json"


def _check(
    kind: str, subjects: int, seed: int, size: int, contrasts: tuple[str, ...], label_maps: str | Path | None
) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")
    for name, value, least in (("subjects", subjects, 1), ("seed", seed, 0), ("size", size, SMALLEST_SIZE)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} must be a whole number from {least} up, got {value!r}.")
    unknown = [name for name in contrasts if name not in CONTRASTS]
    if unknown or not contrasts or len(set(contrasts)) < len(contrasts):
        raise ValueError(f"contrasts must be some of {', '.join(CONTRASTS)}, each once, got {', '.join(contrasts)!r}.")
    if label_maps is not None and kind != "brain_mri":
        raise ValueError(f"label_maps can replace the template of brain_mri only, not of {kind}.")


def _holds(output_dir: Path, settings: dict[str, Any]) -> bool:
    """Whether the folder holds the complete set of these settings; False if it is new or empty."""
    if not output_dir.exists() or (output_dir.is_dir() and not any(output_dir.iterdir())):
        return False
    if not output_dir.is_dir():
        raise NotADirectoryError(f"{output_dir} is a file, not a folder.")
    try:
        found = json.loads((output_dir / "dataset.json").read_text()).get("settings", {})
    except (OSError, ValueError, AttributeError):
        raise FileExistsError(f"{output_dir} holds other files; give a new or empty folder.") from None
    if found != settings:
        differing = ", ".join(f"{key}={found.get(key)!r}" for key in settings if found.get(key) != settings[key])
        raise FileExistsError(f"{output_dir} holds a data set with other settings ({differing}); give a new folder.")
    return True


def _maker(
    kind: str, seed: int, size: int, contrasts: tuple[str, ...], label_maps: str | Path | None
) -> tuple[Callable[[int], Subject], Sequence[str]]:
    if label_maps is not None:
        maps = LabelMaps(label_maps)
        names = ["background" if value == 0 else f"label {value}" for value in maps.ids]
        return (lambda index: maps.subject(seed, index, size)), names
    if kind == "hippocampus_mri":
        return (lambda index: hippocampus_subject(seed, index, contrasts)), HIPPOCAMPUS_LABELS
    return (lambda index: brain_subject(seed, index, size, contrasts)), LABELS


def _write_subject(subject: Subject, folder: Path, name: str, group: str) -> dict[str, Any]:
    """Write the files of one subject; returns its entry of ``dataset.json``."""
    images = []
    for contrast, image in subject.images.items():
        file = f"imagesTr/{name}.nii.gz" if len(subject.images) == 1 else f"imagesTr/{name}_{contrast}.nii.gz"
        _save(image, subject.affine, folder / file)
        images.append(f"./{file}")
    _save(subject.label, subject.affine, folder / "labelsTr" / f"{name}.nii.gz")
    _save(subject.field[:, :, :, None, :], subject.affine, folder / "fields" / f"{name}.nii.gz", vectors=True)
    to_voxel = np.linalg.inv(subject.affine)
    points = {
        landmark: {
            "world": [round(float(value), 4) for value in world],
            "voxel": [round(float(value), 4) for value in to_voxel[:3, :3] @ world + to_voxel[:3, 3]],
            "label": label,
        }
        for landmark, (world, label) in subject.landmarks.items()
    }
    (folder / "landmarks" / f"{name}.json").write_text(json.dumps(points, indent=1) + "\n")
    return {
        "image": images[0] if len(images) == 1 else images,
        "label": f"./labelsTr/{name}.nii.gz",
        "landmarks": f"./landmarks/{name}.json",
        "field": f"./fields/{name}.nii.gz",
        "group": group,
    }


def _save(array: np.ndarray, affine: np.ndarray, path: Path, vectors: bool = False) -> None:
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    if vectors:
        image.header.set_intent("displacement vector")
        image.set_data_dtype(np.int16)  # scaled by nibabel: steps of about a micrometre, a third of the space
    nib.save(image, path)


def _description(settings: dict[str, Any], labels: Sequence[str], training: list[dict[str, Any]]) -> dict[str, Any]:
    source = "an analytic template" if settings["label_maps"] is None else "given label maps"
    contrasts = settings["contrasts"]
    return {
        "name": f"synthetic {settings['kind']}",
        "description": f"Synthetic anatomy from {source}, made by ssl3d: not images of people, for mechanics only.",
        "reference": "ssl3d synthesize",
        "licence": "CC0-1.0" if settings["label_maps"] is None else "that of the label maps",
        "release": f"generator {GENERATOR_VERSION}",
        "tensorImageSize": "3D" if len(contrasts) == 1 else "4D",
        "modality": {str(index): MODALITIES.get(name, "random contrast") for index, name in enumerate(contrasts)},
        "labels": {str(index): name for index, name in enumerate(labels)},
        "synthetic": True,
        "kind": settings["kind"],
        "settings": settings,
        "numTraining": len(training),
        "numTest": 0,
        "training": training,
        "test": [],
    }
