"""Settings that weights fix, and scans of another modality than theirs."""

import json
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, NormalizeIntensityd, Orientationd, ScaleIntensityRanged, Spacingd
from passports import some_passport

from ssl3d.transforms import LoadVolumed
from ssl3d.weights import Passport, other_modality, save, trained_spacing, warn_of_other_settings

PERCENTILES = {"kind": "percentiles", "lower": 1, "upper": 99}
WINDOW = {"kind": "window", "lower": -175, "upper": 250}


def weights(folder: Path, intensity: dict, spacing=(0.8, 0.8, 0.8)) -> Path:
    passport = some_passport(spacing=list(spacing), intensity=intensity)
    save({"w": torch.zeros(1)}, folder / "model.pt", passport)
    return folder / "model.pt"


def scan(folder: Path, kind: str) -> Path:
    shape = (30, 24, 20)
    values = np.random.default_rng(0).integers(0, 900, shape)
    if kind == "ct":
        values = np.full(shape, 50)
        values[:8], values[8:12], values[20:] = -1000, -110, 300
    nib.save(nib.Nifti1Image(values.astype(np.int16), np.eye(4)), folder / f"{kind}.nii.gz")
    return folder / f"{kind}.nii.gz"


@pytest.mark.parametrize(
    ("intensity", "kind", "said"),
    [
        (PERCENTILES, "ct", "looks like a CT"),
        ({"kind": "z-score"}, "ct", "looks like a CT"),
        (WINDOW, "mr", "has no Hounsfield units"),
        (PERCENTILES, "mr", ""),
        (WINDOW, "ct", ""),
        (WINDOW | {"lower": 0}, "mr", ""),
    ],
)
def test_a_scan_of_another_modality_is_named(tmp_path, caplog, intensity, kind, said):
    file = weights(tmp_path, intensity)
    image = scan(tmp_path, kind)
    LoadVolumed(["image", "label"], weights=file)({"image": str(image), "label": str(image)})
    found = [record.getMessage() for record in caplog.records if record.name.startswith("ssl3d")]
    assert len(found) == bool(said)
    assert all(f"{kind}.nii.gz: it {said}" in text and str(file) in text for text in found)
    caplog.clear()
    LoadVolumed("image")({"image": str(image)})
    assert "ssl3d" not in caplog.text


def test_the_test_of_modality_is_the_doctors(tmp_path):
    passport = json.loads(weights(tmp_path, WINDOW).with_suffix(".json").read_text())
    assert other_modality(Passport(**passport), -1000, 800) is None
    assert "0 to 900" in str(other_modality(Passport(**passport), 0, 900))


def test_the_spacing_is_the_passports(tmp_path):
    file = weights(tmp_path, WINDOW)
    assert trained_spacing(file, [1, 1, 1]) == [0.8, 0.8, 0.8]
    assert trained_spacing(tmp_path / "none.pt", [1, 1, 1]) == [1, 1, 1] == trained_spacing(None, [1, 1, 1])


def test_other_settings_are_named(tmp_path, caplog):
    file = weights(tmp_path, WINDOW)
    steps = [
        Orientationd("image", "RAS", labels=None),
        Spacingd("image", (0.8, 0.8, 0.8)),
        ScaleIntensityRanged("image", -175, 250, 0, 1, clip=True),
    ]
    warn_of_other_settings(file, Compose(steps))
    warn_of_other_settings(file, steps[:1])
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    with caplog.at_level(logging.WARNING):
        warn_of_other_settings(
            file,
            [Orientationd("image", "LPS", labels=None), Spacingd("image", (1, 1, 1)), NormalizeIntensityd("image")],
        )
    for text in ("orientation: ", "spacing: the weights were trained with 0.8 x 0.8 x 0.8 mm", "intensity: "):
        assert text in caplog.text
    file.with_suffix(".json").unlink()
    caplog.clear()
    warn_of_other_settings(file, [Spacingd("image", (1, 1, 1))])
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
