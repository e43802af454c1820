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

from .kinds import KINDS, Kind
from .label_maps import CONTRAST, LabelMaps
from .subject import Subject

GENERATOR_VERSION = 2  # raise it with every change of what a seed gives: older sets are then not taken for new ones
SMALLEST_SIZE = 16


def synthesize(
    kind: str,
    output_dir: str | Path,
    subjects: int = 8,
    seed: int = 0,
    size: int = 96,
    contrasts: str | Sequence[str] | None = None,
    label_maps: str | Path | None = None,
) -> Path:
    """Write a data set of synthetic anatomy: images, labels, landmarks, deformation fields, ``dataset.json``.

    Everything drawn for a subject is a function of (seed, subject index). Subjects of a kind share one topology; the
    exact map between each subject and the common template is written beside it:

    - ``imagesTr/brain_000.nii.gz`` (several contrasts: ``brain_000_t1n.nii.gz`` and so on, a list in ``dataset.json``,
      which MONAI's ``LoadImaged`` stacks as channels), int16, HU in CT; ``labelsTr/brain_000.nii.gz``, uint8;
    - ``landmarks/brain_000.json``: by name, ``world`` (mm, RAS), ``voxel`` (of the image as stored), ``label`` (id);
    - ``fields/brain_000.nii.gz``: NIfTI displacement vectors (shape ``(X, Y, Z, 1, 3)``, mm, RAS) from each voxel's
      world position to its point of the template.

    The set is built in a folder beside ``output_dir`` and renamed when complete. A set of the same settings is reused.

    Args:
        kind: One of ``KINDS``. All but the crops vary in orientation and slice thickness.

            - ``brain_mri``: whole heads in a field of view of 192 mm;
            - ``hippocampus_mri``: crops of 1 mm voxels around the right hippocampus with the labels of MSD Task04;
            - ``abdominal_ct``: from the lung bases to the pelvis, about 370 x 370 x 310 mm, native or at any moment
              after contrast medium, with the 13 organs of the BTCV challenge in its order;
            - ``chest_ct``: as large, healthy or with one of two kinds of opacities in the lungs; instead of label maps,
              ``label`` in ``dataset.json`` is the class number;
            - ``heart_ct``: about 190 x 190 x 160 mm, the left chambers filled with contrast medium, with the seven
              structures of the MM-WHS challenge and, as an eighth label, the coronary arteries: these lie outside of
              the seven, so that one label map holds both.
        output_dir: New or empty folder, or one with a set of the same settings.
        subjects: Number of subjects, at least 1.
        seed: Seed of the subjects, at least 0.
        size: Voxels along an axis of a ``brain_mri`` volume, so 192 / size mm each, or of a slice of a CT, so about 370
            / size mm each (190 / size of a heart), at least 16. The crops of ``hippocampus_mri`` keep their own sizes
            (31-43 x 40-59 x 24-47).
        contrasts: Of MR: ``t1n, t1c, t2w, t2f`` (T1, T1 contrast-enhanced, T2, FLAIR), a sequence or comma-separated;
            of CT: ``ct``; None: the kind's first.
        label_maps: For ``brain_mri``, a folder of NIfTI label maps to deform and paint with one random contrast per
            structure in the place of the template; ``contrasts`` then does not apply.

    Returns:
        Path of ``dataset.json``.

    Raises:
        ValueError: an unknown kind or contrast, a number out of range, an unusable folder of label maps.
        FileExistsError: ``output_dir`` holds something else.
        FileNotFoundError: ``label_maps`` does not exist.
        NotADirectoryError: ``output_dir`` is a file.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")
    of_kind = KINDS[kind]
    names = _contrasts(of_kind, contrasts)
    _check(kind, subjects, seed, size, label_maps)
    settings: dict[str, Any] = {
        "kind": kind,
        "subjects": subjects,
        "seed": seed,
        "size": size if of_kind.sized else None,
        "contrasts": list(names) if label_maps is None else [CONTRAST],
        "label_maps": None if label_maps is None else str(Path(label_maps).resolve()),
        "generator_version": GENERATOR_VERSION,
    }
    output_dir = Path(output_dir)
    if _holds(output_dir, settings):
        return output_dir / "dataset.json"
    make, labels = _maker(of_kind, seed, size, names, label_maps)

    output_dir.parent.mkdir(parents=True, exist_ok=True)
    building = output_dir.with_name(f".{output_dir.name}.{os.getpid()}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        (building / "landmarks").mkdir(parents=True)
        training = [
            _write_subject(make(index), building, f"{of_kind.stem}_{index:03d}", kind)
            for index in tqdm(range(subjects), desc=f"synthetic {kind}", unit="subject", disable=None)
        ]
        content = _description(settings, of_kind, labels, training)
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


def _contrasts(kind: Kind, contrasts: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the requested contrasts, or the first contrast of the kind."""
    if contrasts is None:
        return (next(iter(kind.modalities)),)
    names = tuple(part.strip() for part in contrasts.split(",")) if isinstance(contrasts, str) else tuple(contrasts)
    unknown = [name for name in names if name not in kind.modalities]
    if unknown or not names or len(set(names)) < len(names):
        known = ", ".join(kind.modalities)
        raise ValueError(f"contrasts must be some of {known}, each once, got {', '.join(names)!r}.")
    return names


def _check(kind: str, subjects: int, seed: int, size: int, label_maps: str | Path | None) -> None:
    for name, value, least in (("subjects", subjects, 1), ("seed", seed, 0), ("size", size, SMALLEST_SIZE)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} must be a whole number from {least} up, got {value!r}.")
    if label_maps is not None and not KINDS[kind].from_label_maps:
        able = ", ".join(name for name, known in KINDS.items() if known.from_label_maps)
        raise ValueError(f"label_maps can replace the template of {able} only, not of {kind}.")


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
    kind: Kind, seed: int, size: int, contrasts: tuple[str, ...], label_maps: str | Path | None
) -> tuple[Callable[[int], Subject], Sequence[str]]:
    if label_maps is not None:
        maps = LabelMaps(label_maps)
        names = ["background" if value == 0 else f"label {value}" for value in maps.ids]
        return (lambda index: maps.subject(seed, index, size)), names
    return (lambda index: kind.make(seed, index, size, contrasts)), kind.labels


def _write_subject(subject: Subject, folder: Path, name: str, group: str) -> dict[str, Any]:
    """Write the files of one subject; returns its entry of ``dataset.json``."""
    images = []
    for contrast, image in subject.images.items():
        file = f"imagesTr/{name}.nii.gz" if len(subject.images) == 1 else f"imagesTr/{name}_{contrast}.nii.gz"
        _save(image, subject.affine, folder / file)
        images.append(f"./{file}")
    label: str | int | None = subject.category
    if label is None:
        label = f"./labelsTr/{name}.nii.gz"
        _save(subject.label, subject.affine, folder / label)
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
        "label": label,
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
    path.parent.mkdir(exist_ok=True)
    nib.save(image, path)


def _description(
    settings: dict[str, Any], kind: Kind, labels: Sequence[str], training: list[dict[str, Any]]
) -> dict[str, Any]:
    source = "an analytic template" if settings["label_maps"] is None else "given label maps"
    contrasts = settings["contrasts"]
    return {
        "name": f"synthetic {settings['kind']}",
        "description": f"Synthetic anatomy from {source}, made by ssl3d: not images of people, for mechanics only.",
        "reference": "ssl3d synthesize",
        "licence": "CC0-1.0" if settings["label_maps"] is None else "that of the label maps",
        "release": f"generator {GENERATOR_VERSION}",
        "tensorImageSize": "3D" if len(contrasts) == 1 else "4D",
        "modality": {str(index): kind.modalities.get(name, "random contrast") for index, name in enumerate(contrasts)},
        "labels": {str(index): name for index, name in enumerate(labels)},
        "synthetic": True,
        "kind": settings["kind"],
        "settings": settings,
        "numTraining": len(training),
        "numTest": 0,
        "training": training,
        "test": [],
    }
