"""What the doctor says of scans that can be read and still mislead a training."""

import numpy as np
import pytest
from data.nifti_files import save
from doctor.doctor_sets import good_set, problems, text

from ssl3d.doctor.examine import examine

RANDOM = np.random.default_rng(0)
SHAPE = (24, 24, 24)


def ct() -> np.ndarray:
    """Half soft tissue, a third air, some bone."""
    kinds = RANDOM.choice([-1000, 40, 700], p=[0.35, 0.6, 0.05], size=SHAPE)
    return (kinds + RANDOM.normal(0, 20, SHAPE)).clip(-1024, 3000)


def vessels() -> np.ndarray:
    array = RANDOM.integers(0, 7, SHAPE)
    array[3:5, 3:5, 3:6] = 254
    return array


def sparse() -> np.ndarray:
    array = np.zeros(SHAPE)
    array[10:14, 10:14, 10:14] = 2000
    return array


SCANS = {
    "a CT": (ct(), 1, None),
    "a CT without its intercept": (ct() + 1024, 1, "no HU"),
    "a CT scaled to 0..1": ((ct().clip(-160, 240) + 160) / 400, 1, "rescaled"),
    "a CT scaled to 0..255": (np.rint((ct().clip(-160, 240) + 160) / 400 * 255), 1, "rescaled"),
    "an MR": (RANDOM.gamma(3, 150, SHAPE), 1, None),
    "vessels": (vessels(), 1, "percentiles 1 and 99"),
    "a sparse one": (sparse(), 1, "both 0"),
    "micrometres": (RANDOM.gamma(3, 150, SHAPE), 35, "millimetres"),
    "a hundredth": (RANDOM.gamma(3, 150, SHAPE), 0.035, "millimetres"),
}


@pytest.mark.parametrize("kind", SCANS)
def test_scans_are_warned_of_by_name(tmp_path, kind):
    array, millimetres, expected = SCANS[kind]
    save(array.astype(np.float32), np.diag([millimetres] * 3 + [1.0]))(tmp_path / "scan.nii.gz")
    document = examine(tmp_path)
    assert document["good"]
    found = problems(document, fatal=False)
    if expected is None:
        assert found == {}
    else:
        assert expected in found["scan.nii.gz"]
        assert "scan.nii.gz" in text(document, 100)
        assert "Read the warnings" in text(document, 100)


def test_a_scan_that_the_suggested_settings_make_huge_is_a_fault(tmp_path):
    folder = good_set(tmp_path)
    array = RANDOM.normal(100, 30, (24, 24, 24)).astype(np.float32)
    save(array, np.diag([90.0, 90, 90, 1]))(folder / "imagesTr" / "case_0.nii.gz")
    save((array > 100).astype(np.uint8), np.diag([90.0, 90, 90, 1]))(folder / "labelsTr" / "case_0.nii.gz")
    document = examine(folder)
    assert "too large" in problems(document)["case_0.nii.gz"]
    assert document["settings"]["skip_bad"]


def test_a_label_map_among_the_scans_is_named(tmp_path):
    array = np.zeros(SHAPE)
    array[4:20, 4:20, 4:12], array[4:20, 4:20, 12:20] = 1, 2
    for name, values in (("a", ct()), ("b", RANDOM.gamma(3, 150, SHAPE)), ("seg_of_a", array)):
        save(values.astype(np.float32), np.eye(4))(tmp_path / f"{name}.nii.gz")
    document = examine(tmp_path)
    assert problems(document) == {
        "seg_of_a.nii.gz": "looks like a label map, not a scan: it holds 3 different whole numbers"
    }
    assert document["cases"]["good"] == 2


def test_a_small_scan_is_a_matter_of_the_settings(tmp_path):
    for number in range(3):
        save(RANDOM.gamma(3, 150, (64, 64, 64)).astype(np.float32), np.eye(4))(tmp_path / f"s{number}.nii.gz")
    save(RANDOM.gamma(3, 150, (64, 64, 12)).astype(np.float32), np.eye(4))(tmp_path / "thin.nii.gz")
    document = examine(tmp_path)
    assert document["good"] and problems(document) == {}
    assert "with the settings suggested below" in problems(document, fatal=False)["thin.nii.gz"]
    assert document["settings"]["skip_bad"]
