"""Names of files: endings in any letter case, formats that are not read, bytes that are not UTF-8."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from data.nifti_files import IMAGE, save
from doctor.doctor_sets import good_set, problems, scan, text

from ssl3d.data import Datalist, PairList, PreparedDataset
from ssl3d.data.folder_list import _say_unread
from ssl3d.data.splits import case_name
from ssl3d.doctor.examine import examine
from ssl3d.files.texts import printable
from ssl3d.imaging.nifti import is_nifti, is_other_image
from ssl3d.transforms import LoadVolumed

BYTES = b"M\xfcller"  # a name in Latin-1
ENDINGS = [".NII", ".NII.GZ", ".nii.GZ", ".Nii.gz", ".NII.gz", ".nIi", ".nii"]


@pytest.fixture(autouse=True)
def said_anew():
    _say_unread.cache_clear()


@pytest.mark.parametrize("ending", ENDINGS)
def test_endings_in_any_letter_case(tmp_path, ending):
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
        for number in range(3):
            save(scan(number) if folder == "imagesTr" else (scan(number) > 100).astype(np.uint8))(
                tmp_path / folder / "x.nii.gz" if ending.lower().endswith(".gz") else tmp_path / folder / "x.nii"
            )
            made = next((tmp_path / folder).glob("x.*"))
            made.rename(tmp_path / folder / f"case_{number}{ending if number else ending.lower()}")
    items = Datalist(tmp_path, "all", labels="required")
    assert [item["name"] for item in items] == ["case_0", "case_1", "case_2"]
    loaded = LoadVolumed(["image", "label"])(dict(items[1]))
    np.testing.assert_allclose(loaded["image"][0], scan(1))
    assert examine(tmp_path)["cases"]["good"] == 3


def test_a_case_is_named_without_its_ending():
    names = ["a/b.nii", "a/b.NII.GZ", "b.nii.GZ", "b.gz", "b"]
    assert {case_name(name) for name in names} == {"b"}
    assert case_name("1.2.840.nii.gz") == "1.2.840"
    assert case_name("scan.nii.copy.nii.gz") == "scan.nii.copy"


@pytest.mark.parametrize("name", ["b.mha", "c.mgz", "d.NRRD", "e.hdr", "f.img", "g.mnc", "h.nii.bz2", "i.dcm"])
def test_images_of_other_formats_are_named_in_the_log_and_by_the_doctor(tmp_path, name, caplog):
    folder = good_set(tmp_path)
    (folder / "imagesTr" / name).write_bytes(b"")
    (folder / "imagesTr" / f".{name}").write_bytes(b"")
    for section in ("training", "validation"):
        Datalist(folder, section)
    assert caplog.text.count(f"1 file(s) in {folder / 'imagesTr'} look like images and are not read: {name}.") == 1
    document = examine(folder)
    assert "not read" in problems(document, fatal=False)[name]
    assert "Read the warnings" in text(document, 100)
    assert is_other_image(name)
    assert not is_nifti(name)


def test_notes_and_tables_are_no_images(tmp_path, caplog):
    folder = good_set(tmp_path)
    for name in ("notes.txt", "participants.tsv", "case_0.json", "bvals.bval"):
        (folder / "imagesTr" / name).write_text("x")
    Datalist(folder, "training")
    assert "not read" not in caplog.text
    assert examine(folder)["faults"] == []


@pytest.fixture
def odd_folder(tmp_path) -> Path:
    """A data set below a folder, and with a file, whose names are not UTF-8."""
    plain = good_set(tmp_path / "plain")
    for kind in ("imagesTr", "labelsTr"):
        source = os.fsencode(plain / kind / "case_1.nii.gz")
        os.rename(source, source.replace(b"case_1", BYTES))
    target = os.fsdecode(os.fsencode(tmp_path) + b"/set_" + BYTES)
    try:
        return Path(shutil.move(plain, target))
    except OSError:
        pytest.skip("this file system takes UTF-8 only")


def test_names_that_are_not_utf8_are_read_trained_on_and_written(odd_folder, capfd):
    items = Datalist(odd_folder, "all")
    assert len(items) == 6
    for item in items:
        item["name"].encode("utf-8")
        item["group"].encode("utf-8")
    json.dumps(items.corpus, ensure_ascii=False).encode("utf-8")
    dataset = PreparedDataset(items, [LoadVolumed(["image", "label"])])
    assert all(dataset[number]["image"].shape[0] == 1 for number in range(6))
    assert len(list(dataset.folder.glob("*.pt"))) == 6
    assert len(Datalist(odd_folder, "all")) == 6  # from what was kept
    assert [pair["name"].encode("utf-8") for pair in PairList(odd_folder, "all", pairs=4)]


def test_the_doctor_reads_names_that_are_not_utf8(odd_folder):
    document = examine(odd_folder, write="good.json")
    assert document["good"]
    text(document, 80).encode("utf-8")
    items = Datalist(odd_folder, "all", datalist="good.json")
    assert sorted(item["image"] for item in items) == sorted(item["image"] for item in Datalist(odd_folder, "all"))


def test_faults_of_names_that_are_not_utf8_are_printable(odd_folder):
    (odd_folder / "imagesTr" / os.fsdecode(BYTES + b".nii.gz")).write_bytes(b"")
    document = examine(odd_folder)
    assert [fault["problem"] for fault in document["faults"]] == ["empty file of 0 bytes"]
    assert "ller.nii.gz" in text(document, 100)
    good = Datalist(odd_folder, "all", skip_bad=True)
    assert len(good) == 5
    str(good.skipped[0]).encode("utf-8")
    save(IMAGE)(odd_folder / "imagesTr" / "z.nii.gz")


def test_printable_text_stays_as_it_is():
    assert printable("Größe 患者 😀") == "Größe 患者 😀"
    assert printable(os.fsdecode(BYTES)).encode("utf-8") == rb"M\udcfcller"
