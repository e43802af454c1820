"""Folders of DICOM files as cases: which series is taken, what the cases are called, training and inference on them."""

import errno
import json
import logging
import os
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from dicom_files import AXIAL, volume, write_object, write_series
from monai.transforms import Compose, Invertd, LoadImaged, Orientationd, SaveImaged

from ssl3d.data import DataError, Datalist, PairList, PreparedDataset, content_key
from ssl3d.data.cache import item_key
from ssl3d.files import folders
from ssl3d.imaging.dicom.cases import list_studies, series_folder
from ssl3d.imaging.dicom.headers import read_headers
from ssl3d.imaging.dicom.series import choose_series
from ssl3d.imaging.dicom.volume import read_series
from ssl3d.imaging.nifti import BadFileError
from ssl3d.transforms.loading import LoadVolumed

SEG, RTSTRUCT, REPORT = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.88.67"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
HU = volume().astype(np.float32) - 1024
CORONAL = np.array([[-0.7, 0, 0, 30], [0, 0, -2.5, 40], [0, -0.8, 0, -100], [0, 0, 0, 1.0]])


def add(folder, number, description="", slices=7, **tags):
    """One series in files of its own; returns its UID."""
    names = [f"{number}_{index}" for index in range(slices)]
    array = volume(number, (9, 8, slices))
    return write_series(folder, array, names=names, SeriesNumber=number, SeriesDescription=description, **tags)


def write_ct_study(folder, study="1.2.3"):
    """What a scanner sends for one examination; the UID of the thin axial slices."""
    tags = {"StudyInstanceUID": study}
    add(folder, 1, "Topogram", 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **tags)
    add(folder, 2, "Thorax 5.0", 7, **tags)
    thin = add(folder, 3, "Thorax 1.0", 14, **tags)
    add(folder, 4, "cor", 20, affine=CORONAL, **tags)
    add(folder, 5, "MIP", 30, ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"], **tags)
    add(folder, 6, "Thorax MPR", 30, ImageType=["DERIVED", "SECONDARY", "AXIAL"], **tags)
    add(folder, 7, "Patient protocol", 4, SOPClassUID=SECONDARY_CAPTURE, **tags)
    write_object(folder, REPORT, **tags)
    return thin


def test_the_thin_axial_original_slices_of_a_ct_are_taken(tmp_path, caplog):
    thin = write_ct_study(tmp_path)
    with caplog.at_level(logging.INFO):
        chosen = choose_series(read_headers(tmp_path))
    assert chosen.first.series == thin
    assert len(chosen.slices) == 14
    assert "Taken: 3 'Thorax 1.0' (CT, 14 slices of 2.5 mm, axial, ORIGINAL\\PRIMARY\\AXIAL)" in caplog.text
    for reason in (
        r"LOCALIZER\), 1\.2\.826.* localizer",
        "5 'MIP'.* projection",
        "Secondary Capture Image Storage",
        "Dose SR",
    ):
        assert re.search(reason, caplog.text), reason


@pytest.mark.parametrize("wanted", ["thorax 5.0", "*5.0", "THORAX 5*", "the UID"])
def test_the_user_chooses(tmp_path, wanted):
    write_ct_study(tmp_path)
    uid = next(header.series for header in read_headers(tmp_path) if header.number == 2)
    chosen = choose_series(read_headers(tmp_path), uid if wanted == "the UID" else wanted)
    assert chosen.first.number == 2


def test_a_choice_holds_for_what_would_be_left_out(tmp_path):
    write_ct_study(tmp_path)
    headers = read_headers(tmp_path)
    assert choose_series(headers, "mip").first.number == 5
    assert choose_series(headers, "Thorax*").first.number == 3  # the same rules among those that match
    with pytest.raises(BadFileError, match=r"no series 'head' among(\n.*){8}"):
        choose_series(headers, "head")
    with pytest.raises(BadFileError, match=r"no volume of CT, MR or PET among\n.*Secondary Capture"):
        choose_series(headers, "patient protocol")


@pytest.mark.parametrize(
    ("second", "tags"),
    [
        ("venous", {"slices": 9}),
        ("T1", {"slices": 30, "modality": "MR"}),
        ("attenuation corrected", {"slices": 30, "modality": "PT"}),
    ],
)
def test_what_is_not_clear_is_asked(tmp_path, second, tags):
    first_modality = "MR" if tags.get("modality") == "MR" else "CT"
    first = add(tmp_path, 1, "arterial", modality=first_modality)
    other = add(tmp_path, 2, second, **tags)
    with pytest.raises(BadFileError, match="2 series may be meant") as refused:
        choose_series(read_headers(tmp_path))
    text = refused.value.problem
    assert f"1 'arterial' ({first_modality}, 7 slices of 2.5 mm, axial, ORIGINAL\\PRIMARY\\AXIAL), {first}" in text
    assert f"2 {second!r}" in text
    assert other in text
    assert "--series" in refused.value.remedy
    assert '"series" in the entry' in refused.value.remedy


def test_a_description_that_is_a_number(tmp_path):
    """What ``--series 5`` and ``"series": 5`` are in Python."""
    for number in (5, 6):
        add(tmp_path, number, str(number), slices=20 - number)
    assert choose_series(read_headers(tmp_path), 5).first.number == 5


def test_localizers_within_a_series_are_left_out(tmp_path):
    uid = add(tmp_path, 1)
    add(tmp_path / "b", 2, slices=2, SeriesInstanceUID=uid, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert read_series(tmp_path).grid.shape == HU.shape


def test_a_survey_of_three_planes_is_no_volume(tmp_path):
    uid = add(tmp_path, 1, modality="MR")
    add(tmp_path, 2, modality="MR", SeriesInstanceUID=uid, affine=CORONAL)
    whole = add(tmp_path, 3, "t1", modality="MR")
    assert choose_series(read_headers(tmp_path)).first.series == whole
    with pytest.raises(BadFileError, match="7 of 14 slices have another orientation"):
        read_series(tmp_path, uid)


@pytest.mark.parametrize(
    ("places", "names"),
    [
        (["p1", "p2"], ["p1", "p2"]),
        (["p1/s/a", "p2/s/a"], ["p1", "p2"]),
        (["p1/before/1", "p1/after/1", "p2/now"], ["p1_after", "p1_before", "p2"]),
        (["."], ["set"]),
        (["only/deep/down"], ["only"]),
        (["1.2.840.1", "1.2.840.2"], ["1.2.840.1", "1.2.840.2"]),
    ],
)
def test_cases_are_named_after_their_folders(tmp_path, places, names):
    folder = tmp_path / "set"
    for number, place in enumerate(places):
        write_series(folder / place, StudyInstanceUID=f"1.2.{number}")
        write_series(folder / place / "more", StudyInstanceUID=f"1.2.{number}", names="abcdefg")
    assert [study.name for study in list_studies(folder)] == names
    assert all(study.folder.is_dir() for study in list_studies(folder))


def test_studies_of_one_patient_stay_together(tmp_path):
    for number in range(8):
        ids = {"StudyInstanceUID": f"1.2.{number}", "PatientID": f"person {number // 2}"}
        write_series(tmp_path / "set" / f"scan{number}x", **ids)
        write_series(tmp_path / "anonymous" / f"scan{number}x", **ids | {"PatientID": "anonymous"})
    training = Datalist(tmp_path / "set", "training", labels="ignored")
    assert training.sections["validation"] == ["scan4x", "scan5x"]
    assert training.sections["test"] == ["scan6x", "scan7x"]
    assert len({study.patient for study in list_studies(tmp_path / "set")}) == 4
    assert not any("person" in text.read_text() for text in folders.cache_dir().rglob("*.json")), "an ID is not kept"
    apart = Datalist(tmp_path / "anonymous", "training", labels="ignored")
    assert apart.sections["validation"] == ["scan2x"]


def test_studies_that_folders_do_not_tell_apart(tmp_path):
    first = add(tmp_path, 1, StudyInstanceUID="1.2.1")
    add(tmp_path, 2, StudyInstanceUID="1.2.2")
    with pytest.raises(ValueError, match=rf"several studies lie in {tmp_path}, so(.*\n){{3}}Put each"):
        list_studies(tmp_path)
    entries = [{"image": ".", "name": "a", "series": first}]
    (tmp_path / "cases.json").write_text(json.dumps({"training": entries}))
    items = Datalist(tmp_path, "all", datalist="cases.json", labels="ignored")
    assert [item["name"] for item in items] == ["a"]
    assert len(os.listdir(items[0]["image"])) == 7


def test_labels_in_dicom_are_named_as_such(tmp_path, caplog):
    write_object(tmp_path / "p1", SEG, SeriesNumber=2)
    write_object(tmp_path / "p1", RTSTRUCT, "structures.dcm", SeriesNumber=1)
    with pytest.raises(FileNotFoundError, match=r"(?s)RT Structure Set.*Segmentation Storage.*Convert it to a NIfTI"):
        Datalist(tmp_path, "all", labels="ignored")
    write_series(tmp_path / "p1" / "ct", StudyInstanceUID="1.2.4")
    assert [study.name for study in list_studies(tmp_path)] == ["p1"]
    assert "Left out" in caplog.text
    with pytest.raises(FileNotFoundError, match=r"no \.nii, \.nii\.gz or DICOM images"):
        (tmp_path / "empty").mkdir()
        Datalist(tmp_path / "empty", "all")


def dicom_dataset(folder, cases=4):
    """``images/p0`` and so on with labels on the same grid."""
    for number in range(cases):
        write_series(
            folder / "images" / f"p{number}" / "study" / "ct", volume(number), StudyInstanceUID=f"1.2.{number}"
        )
        (folder / "labels").mkdir(exist_ok=True)
        label = (volume(number) > 1500).astype(np.uint8)
        nib.save(nib.Nifti1Image(label, AXIAL), folder / "labels" / f"p{number}.nii.gz")
    return folder


def test_a_folder_of_dicom_files_trains(tmp_path):
    folder = dicom_dataset(tmp_path / "set")
    items = Datalist(folder, "training", label_ids=range(2))
    assert [(item["name"], item["group"]) for item in items] == [("p0", "set"), ("p1", "set")]
    assert items[0]["label"] == str(folder / "labels" / "p0.nii.gz")
    keys = ("image", "label")
    steps = [LoadVolumed(keys), Orientationd(keys, axcodes="RAS", labels=None)]
    prepared = PreparedDataset(items, steps)[0]
    expected = HU[::-1, ::-1]
    np.testing.assert_array_equal(prepared["image"][0], expected.copy())
    np.testing.assert_array_equal(prepared["label"][0], (expected + 1024 > 1500).astype(np.float32))
    assert not isinstance(prepared["image"], type(LoadVolumed("image")(items[0])["image"]))
    (folder / "labels" / "p0.nii.gz").unlink()
    with pytest.raises(DataError, match="no label"):
        Datalist(folder, "training")


def test_labels_beside_the_patients(tmp_path):
    folder = dicom_dataset(tmp_path / "set")
    for case in (folder / "images").iterdir():
        case.rename(folder / case.name)
    (folder / "images").rmdir()
    assert ["label" in item for item in Datalist(folder, "all")] == [True] * 4


def test_plain_monai_reads_the_items_of_ordinary_series(tmp_path):
    item = Datalist(dicom_dataset(tmp_path), "training", labels="ignored")[0]
    plain = LoadImaged("image", reader="PydicomReader", ensure_channel_first=True)(item)["image"]
    ours = LoadVolumed("image")(item)["image"]
    np.testing.assert_array_equal(ours, plain)
    np.testing.assert_allclose(ours.affine, plain.affine, atol=1e-6)
    assert ours.dtype == plain.dtype == torch.float32


def test_several_series_are_channels(tmp_path):
    folders = []
    for number in range(2):
        write_series(tmp_path / f"t{number}", volume(number), modality="MR", rescale=lambda _: (1, 0))
        folders.append(str(tmp_path / f"t{number}"))
    (tmp_path / "two.json").write_text(json.dumps({"training": [{"image": folders, "name": "p"}]}))
    item = Datalist(tmp_path, "all", datalist="two.json", channels=2, labels="ignored")[0]
    image = LoadVolumed("image")(item)["image"]
    np.testing.assert_array_equal(image, np.stack([volume(0), volume(1)]))
    np.testing.assert_allclose(image.affine, AXIAL, atol=1e-6)


def test_results_bear_the_name_of_the_case_and_lie_on_its_grid(tmp_path):
    folder = tmp_path / "set"
    for number, place in enumerate(("1.2.840.17", "1.2.840.18")):
        write_series(folder / place / "series", volume(number), StudyInstanceUID=f"1.2.{number}")
    before = Compose([LoadVolumed("image"), Orientationd("image", axcodes="RAS", labels=None)])
    after = Compose(
        [
            Invertd("pred", before, orig_keys="image", nearest_interp=True, to_tensor=True),
            SaveImaged("pred", output_dir=tmp_path / "out", output_postfix="seg", separate_folder=False),
        ]
    )
    for item in Datalist(folder, "all", labels="ignored"):
        data = before(item)
        after({**data, "pred": (data["image"] > 0).float()})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "1.2.840.17_seg.nii.gz",
        "1.2.840.18_seg.nii.gz",
    ]
    saved = nib.load(tmp_path / "out" / "1.2.840.17_seg.nii.gz")
    np.testing.assert_array_equal(saved.get_fdata(), HU > 0)
    np.testing.assert_allclose(saved.affine, AXIAL, atol=1e-5)


def test_an_unclear_case_is_a_fault_that_can_be_skipped_or_settled(tmp_path):
    folder = dicom_dataset(tmp_path)
    add(folder / "images" / "p1", 2, "venous", StudyInstanceUID="1.2.1")
    (folder / "images" / "p2" / "study" / "ct" / "0002.dcm").unlink()
    with pytest.raises(DataError, match=r"(?s)2 fault.*/p1: 2 series may be meant.*/p2: .*missing between -97\.50"):
        Datalist(folder, "all")
    items = Datalist(folder, "all", skip_bad=True)
    assert [item["name"] for item in items] == ["p0", "p3"]
    assert [os.path.basename(fault.file) for fault in items.skipped] == ["p1", "p2"]
    settled = Datalist(folder, "all", series="thorax*", skip_bad=True)
    assert [item["name"] for item in settled] == ["p0", "p1", "p3"]
    entry = {"image": "images/p1", "label": "labels/p1.nii.gz", "series": "Thorax 1.0"}
    (folder / "one.json").write_text(json.dumps({"training": [entry]}))
    item = Datalist(folder, "all", datalist="one.json", series="venous")[0]  # the entry's own counts
    assert (item["name"], "series" in item) == ("p1", False)
    np.testing.assert_array_equal(read_series_of(item), volume(1) - 1024.0)


def test_pairs_of_dicom_volumes(tmp_path):
    folder = dicom_dataset(tmp_path, 2)
    add(folder / "images" / "p1", 2, "venous", StudyInstanceUID="1.2.1")
    study = "images/p1"
    given = {role: folder / "images" / name for role, name in (("fixed", "p0"), ("moving", "p1"))}
    with pytest.raises(DataError, match=r"(?s)1 fault.*/p1: 2 series may be meant.*--series"):
        PairList(None, "all", **given)
    (pair,) = PairList(None, "all", **given, series="t*")
    assert pair["name"] == "p1_onto_p0"
    np.testing.assert_array_equal(LoadVolumed("image")({"image": pair["moving"]})["image"][0], volume(1) - 1024.0)
    entry = {"fixed": study, "moving": study, "moving_series": "venous"}  # two phases of one examination
    (folder / "pairs.json").write_text(json.dumps({"name": "phases", "test": [entry]}))
    (pair,) = PairList(folder, "test", datalist="pairs.json", series="t*")
    fixed, moving = (LoadVolumed("image")({"image": pair[role]})["image"][0] for role in ("fixed", "moving"))
    np.testing.assert_array_equal(fixed, volume(1) - 1024.0)
    np.testing.assert_array_equal(moving, volume(2) - 1024.0)
    for name in ("p2", "p3"):
        write_series(folder / "images" / name, volume(5), StudyInstanceUID=f"1.2.{name[1]}")
    assert len(PairList(folder / "images", "all", series="Thorax*")) == 12


def read_series_of(item):
    return LoadVolumed("image")(item)["image"][0].numpy()


def test_damaged_files_are_faults(tmp_path):
    folder = dicom_dataset(tmp_path)
    (folder / "images" / "p1" / "study" / "ct" / "0006.dcm").write_bytes(b"")
    shutil.rmtree(folder / "images" / "p2")
    (folder / "images" / "p2").mkdir()
    (folder / "images" / "p2" / "a.dcm").write_text("no image")
    (folder / "images" / "p3" / "study" / "ct" / "0003.dcm").write_bytes(
        (folder / "images" / "p3" / "study" / "ct" / "0003.dcm").read_bytes()[:-9]
    )
    items = Datalist(folder, "all", skip_bad=True)
    assert [item["name"] for item in items] == ["p0"]
    problems = {fault.file: fault.problem for fault in items.skipped}
    assert len(problems) == 3
    assert "0006.dcm: empty file" in problems[str(folder / "images" / "p1")]
    assert "a.dcm: not a DICOM file" in problems[str(folder / "images" / "p2")]
    assert any(str(folder / "images" / "p3" / "study" / "ct" / "0003.dcm") in text for text in problems.values())


def test_the_cache_knows_a_series_by_its_files(tmp_path):
    write_series(tmp_path / "a", names="abcdefg")
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere" / "b")
    for index, name in enumerate("gfedcba"):
        (tmp_path / "elsewhere" / "b" / name).rename(tmp_path / "elsewhere" / "b" / f"{index}.dcm")
    first, second = (str(series_folder(folder, "p")) for folder in (tmp_path / "a", tmp_path / "elsewhere"))
    assert first != second
    assert content_key(first) == content_key(second) == read_series(tmp_path / "a").sha256
    assert item_key({"image": first}) == item_key({"image": second})
    assert series_folder(tmp_path / "a", "p") == series_folder(tmp_path / "a", "p")
    (tmp_path / "a" / "c").write_bytes((tmp_path / "a" / "c").read_bytes() + b"\0\0")
    assert str(series_folder(tmp_path / "a", "p")) != first
    assert content_key(first) != content_key(second)


def test_a_loader_says_which_folder_it_cannot_read(tmp_path):
    write_series(tmp_path / "p1")
    (tmp_path / "p1" / "0002.dcm").unlink()
    with pytest.raises(RuntimeError) as failed:
        Compose([LoadVolumed("image")])({"image": str(tmp_path / "p1")})
    assert f"{tmp_path / 'p1'}: about 1 slice(s)" in str(failed.value.__cause__)


def test_other_files_go_to_monais_readers(tmp_path, write_nifti, image_array):
    path = write_nifti(tmp_path / "x.nii.gz", image_array(), AXIAL)
    ours, plain = LoadVolumed("image")({"image": path}), LoadImaged("image", ensure_channel_first=True)({"image": path})
    np.testing.assert_array_equal(ours["image"], plain["image"])
    np.testing.assert_array_equal(ours["image"].affine, plain["image"].affine)


def test_a_disk_without_links_is_named(tmp_path, monkeypatch):
    def refuse(link, target):
        raise PermissionError("no links here")

    write_series(tmp_path)
    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    with pytest.raises(OSError, match=r"No links to DICOM files .*: no links here\. Set .* SSL3D_CACHE"):
        series_folder(tmp_path, "p")


@pytest.mark.parametrize("step", ["mkdir", "symlink_to", "rename"])
def test_a_full_disk_is_named_where_links_are_made(tmp_path, monkeypatch, step):
    def full(path, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    write_series(tmp_path / "scan")
    folders.cache_dir()
    read_headers(tmp_path / "scan")
    real = getattr(Path, step)
    monkeypatch.setattr(Path, step, lambda self, *a, **k: full(self) if "dicom" in self.parts else real(self, *a, **k))
    with pytest.raises(
        OSError, match=r"No links .*: the disk or its quota is full\. Free space there, or set .*SSL3D_CACHE"
    ):
        series_folder(tmp_path / "scan", "scan")
