"""Scans against the preprocessing of a run: size after resampling, and intensities against window or percentiles."""

import re

import numpy as np
import pytest
from data.nifti_files import save

from ssl3d.data import DataError, cache_dir, validate
from ssl3d.data.fit import LARGE, LARGEST, check_fit, fit, fitting_pixdim, intensity_faults, prepared_size, size_fault
from ssl3d.imaging.scan_facts import LEVELS, ScanFacts, kept_facts

RUN = {"orientation": "RAS", "spacing": [1.0, 1.0, 1.0], "roi_size": [32, 48, 32]}
WINDOW = {"kind": "window", "lower": -175, "upper": 250}
PERCENTILES = {"kind": "percentiles", "lower": 1, "upper": 99}


def scan(size=(64, 64, 64), spacing=(1.0, 1.0, 1.0), values=(0, 1, 2, 50, 200, 210, 254), axes="RAS") -> ScanFacts:
    return ScanFacts(axes, list(size), list(spacing), 1, [float(value) for value in values])


def written(folder, array, spacing=(1, 1, 1), name="scan.nii.gz") -> dict:
    affine = np.diag([*spacing, 1.0])
    save(array, affine)(folder / name)
    item = {"image": str(folder / name), "name": name}
    validate([item])
    return item


@pytest.mark.parametrize(
    ("size", "spacing", "fault"),
    [
        ((64, 64, 64), (35, 35, 35), "too large"),  # 35 um written as 35
        ((30, 30, 30), (90, 90, 90), "too large"),
        ((40, 52, 36), (20, 20, 20), "too large"),
        ((128, 128, 128), (0.035, 0.035, 0.035), "roi_size"),
        ((64, 64, 64), (1, 1, 0.05), "roi_size"),
        ((512, 512, 12), (0.7, 0.7, 0.5), "roi_size"),
        ((512, 512, 300), (0.7, 0.7, 1.0), None),
        ((512, 512, 2000), (0.98, 0.98, 1.5), None),  # a whole body
        ((320, 320, 20), (0.6, 0.6, 6.0), None),
        ((33, 47, 24), (1, 1, 1), None),
    ],
)
def test_the_size_after_resampling_is_known_before_a_run(size, spacing, fault):
    found = size_fault("a.nii.gz", scan(size, spacing), RUN)
    if fault is None:
        assert found is None
        return
    assert found.fatal
    assert fault in found.problem
    assert all(f"{mm:g}" in found.problem for mm in spacing)


@pytest.mark.parametrize("unit", [1e-3, 0.03, 1, 35, 100])
@pytest.mark.parametrize("size", [(64, 64, 64), (400, 300, 200), (1200, 1200, 1200), (2000, 2000, 900)])
def test_the_proposed_pixdim_fits(unit, size):
    facts = scan(size, [unit, unit, 1.2 * unit])
    pixdim = fitting_pixdim(facts, RUN)
    assert pixdim is not None
    assert size_fault("a.nii.gz", facts, RUN | {"spacing": pixdim}) is None
    needed = 4 * prepared_size(facts, RUN, pixdim).prod()
    assert needed <= LARGEST
    fault = size_fault("a.nii.gz", facts, RUN)
    if fault is not None:
        assert re.search(r"--pixdim \"\[[\d., e-]+\]", fault.remedy)


def test_a_scan_that_no_pixdim_makes_large_enough_is_told_from_the_others():
    fault = size_fault("a.nii.gz", scan((64, 64, 3)), RUN)
    assert "--pixdim" not in fault.remedy
    assert "--roi_size" in fault.remedy


def test_a_small_scan_is_only_warned_of_where_nothing_is_trained():
    small, large = scan(spacing=(0.05, 0.05, 0.05)), scan(spacing=(90, 90, 90))
    assert not size_fault("a.nii.gz", small, RUN, training=False).fatal
    assert size_fault("a.nii.gz", large, RUN, training=False).fatal


def test_large_scans_are_refused_for_growing_before_they_are_for_being_large():
    side = round((1.5 * LARGE / 4) ** (1 / 3))
    assert size_fault("a.nii.gz", scan((side, side, side)), RUN) is None
    assert size_fault("a.nii.gz", scan((side // 3, side // 3, side // 3), (3, 3, 3)), RUN) is not None
    side = round((1.1 * LARGEST / 4) ** (1 / 3))
    assert size_fault("a.nii.gz", scan((side, side, side)), RUN) is not None


@pytest.mark.parametrize("axes", ["RAS", "LPS", "PIR", "SRA"])
def test_sizes_follow_the_axes_of_the_run(tmp_path, axes):
    """A flat scan is told along its own axis, however it is stored, and the estimate is the size that MONAI makes."""
    stored = {"RAS": (0, 1, 2), "LPS": (0, 1, 2), "PIR": (1, 2, 0), "SRA": (2, 0, 1)}[axes]
    size, spacing = np.array([40, 50, 60])[list(stored)], np.array([1.0, 2.0, 3.0])[list(stored)]
    found = prepared_size(scan(size, spacing, axes=axes), RUN, [2.0, 2.0, 2.0])
    assert found.tolist() == pytest.approx([20, 50, 90], abs=1)


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ((-1024, -1000, -990, -60, 400, 600, 1800), None),  # CT
        ((-300, -150, -120, 20, 200, 240, 900), None),  # CT of soft tissue
        ((0, 24, 34, 964, 1424, 1624, 2824), "no HU"),  # without its intercept
        ((0, 0, 0, 0.3, 0.9, 1, 1), "less than 5%"),
        ((-1, -1, -1, 0, 0.9, 1, 1), "less than 5%"),
        ((-2, -1.6, -1.5, 0, 2.2, 3, 8), "less than 5%"),  # z-scores
        ((0, 0, 0, 100, 240, 255, 255), "no HU"),
        ((0, 10, 20, 500, 1500, 1700, 4000), "no HU"),  # MR
        ((-2048, -2048, -2040, -1080, -620, -420, 700), "outside"),  # its intercept twice
        ((-1024, -1024, -1024, -1024, -1024, -900, 60), "outside"),
        ((300, 310, 320, 900, 1500, 1600, 1700), "outside"),
    ],
)
def test_intensities_that_are_not_in_hounsfield_units_are_warned_of(values, warned):
    found = intensity_faults("a.nii.gz", scan(values=values), WINDOW)
    assert [warned in fault.problem for fault in found] == ([] if warned is None else [True])
    assert not any(fault.fatal for fault in found)


def test_a_window_of_mr_does_not_ask_for_air():
    values = (0, 10, 20, 500, 1500, 1700, 4000)
    assert intensity_faults("a.nii.gz", scan(values=values), {"kind": "window", "lower": 0, "upper": 2000}) == []
    assert intensity_faults("a.nii.gz", scan(values=values), {"kind": "z-score"}) == []
    assert intensity_faults("a.nii.gz", scan(values=values), {}) == []


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ((0, 10, 20, 500, 900, 950, 4000), None),
        ((0, 0, 0, 0, 0, 0, 2000), "both 0"),
        ((-1024, -1024, -1024, -1024, -1024, -900, 60), "both -1024"),
        ((0, 0, 0, 1, 6, 20, 254), "0 and 6"),  # vessels
    ],
)
def test_percentiles_that_say_little_are_warned_of(values, warned):
    found = intensity_faults("a.nii.gz", scan(values=values), PERCENTILES)
    assert [warned in fault.problem for fault in found] == ([] if warned is None else [True])


def test_validation_keeps_the_facts_and_fit_reads_no_file(tmp_path):
    array = np.arange(20 * 30 * 40, dtype=np.int16).reshape(20, 30, 40)
    item = written(tmp_path, array, (1, 2, 3))
    facts = kept_facts(item["image"])
    assert (facts.axes, facts.size, facts.spacing, facts.channels) == ("RAS", [20, 30, 40], [1, 2, 3], 1)
    np.testing.assert_allclose(facts.values, np.percentile(array, LEVELS), atol=1)
    assert facts.values[0] == array.min()
    assert facts.values[-1] == array.max()
    save(array + 1)(tmp_path / "scan.nii.gz")  # changed since
    assert kept_facts(item["image"]) is None
    assert check_fit(item, RUN | {"spacing": [0.01, 0.01, 0.01]}) == []


@pytest.mark.parametrize("keys", [("image",), ("fixed", "moving")])
def test_bad_scans_stop_a_run_or_are_skipped_by_name(tmp_path, keys, caplog):
    array = np.random.default_rng(0).integers(1, 999, (20, 24, 20)).astype(np.int16)
    good, bad = (written(tmp_path, array, (mm, mm, mm), f"{mm}.nii.gz")["image"] for mm in (1, 90))
    items = [dict.fromkeys(keys, file) | {"name": "case"} for file in (good, bad)]
    with pytest.raises(DataError, match=r"90\.nii\.gz: .*too large.*--pixdim \"\[90, 90, 90\]"):
        fit(items, RUN)
    kept, faults = fit(items, RUN, skip_bad=True)
    assert kept == items[:1]
    assert [fault.file for fault in faults] == [bad]  # once, whatever the pairs
    assert f"Skipped: {bad}" in caplog.text
    with pytest.raises(DataError):
        fit(items[1:], RUN, skip_bad=True)
    assert fit([items[1] | {"synthetic": True}], RUN)[0]


def test_a_wrong_unit_is_left_to_the_loading_that_compares_with_weights(tmp_path):
    array = np.random.default_rng(0).integers(0, 900, (40, 50, 40)).astype(np.int16)
    item = written(tmp_path, array)
    run = RUN | {"intensity": WINDOW}
    assert "no HU?" in check_fit(item, run)[0].problem
    assert check_fit(item, run | {"compares_units": True}) == []
    bright = written(tmp_path, np.where(array < 7, -300, 2000).astype(np.int16), name="bright.nii.gz")  # 0.8 % are air
    (fault,) = check_fit(bright, run | {"compares_units": True})
    assert "98 %" in fault.problem, "the unit may be right: loading says nothing"


def test_warnings_name_scans_and_are_few(tmp_path, caplog):
    array = np.random.default_rng(0).integers(0, 4000, (20, 24, 20)).astype(np.int16)
    items = [written(tmp_path, array + i, name=f"{i}.nii.gz") for i in range(23)]
    kept, _ = fit(items, RUN | {"intensity": WINDOW})
    assert kept == items
    assert "0.nii.gz: no HU?" in caplog.text
    assert caplog.text.count("no HU?") == 20
    assert "3 more scans" in caplog.text


def test_facts_that_are_damaged_are_no_facts(tmp_path):
    item = written(tmp_path, np.arange(8000, dtype=np.int16).reshape(20, 20, 20))
    (file,) = (cache_dir() / "scans").rglob("*.json")
    for text in ("[]", "{}", "3", "[" * 100000, "null", '[["RAS"], 1, 2, 3, 4]'):
        file.write_text(text)
        assert kept_facts(item["image"]) is None
