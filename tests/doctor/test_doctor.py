"""What the doctor finds: what is in a data set, what is damaged, copied, shared, missing."""

import gzip
import importlib
import json
import shutil
import threading
import weakref
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from data.nifti_files import AFFINE, IMAGE, LABEL, SHAPE, affine, nifti, save, with_value
from doctor.doctor_sets import FLIP, add, good_set, label_of, list_cases, problems, scan, text

from ssl3d.doctor.examine import examine
from ssl3d.doctor.facts import examine_case
from ssl3d.imaging.nifti import read_volume


@pytest.fixture
def folder(tmp_path) -> Path:
    return good_set(tmp_path / "set")


def test_a_good_folder(folder):
    document = examine(folder)
    assert document["good"]
    assert document["faults"] == []
    assert document["cases"] == {"total": 6, "good": 6, "labelled": 6, "sections": {"training": 6}}
    images = document["images"]
    assert images["axes"] == {"LPS": 6}
    assert images["channels"] == {"1": 6}
    assert images["types"] == {"float32": 6}
    for column in ("lowest", "median", "highest"):
        assert images["size"][column] == list(SHAPE)
        assert images["spacing"][column] == [1, 1.5, 2]
    found = np.array([np.percentile(scan(number), images["percentiles"]["of"]) for number in range(6)])
    np.testing.assert_allclose(images["percentiles"]["lowest"], found.min(0), rtol=1e-4)
    np.testing.assert_allclose(images["percentiles"]["median"], np.median(found, 0), rtol=1e-4)
    np.testing.assert_allclose(images["percentiles"]["highest"], found.max(0), rtol=1e-4)
    assert document["window"] is None
    labels = np.stack([label_of(scan(number)) for number in range(6)])
    assert document["labels"] == [
        {"id": number, "name": name, "cases": 6, "voxels": int((labels == number).sum())}
        for number, name in enumerate(["background", "label 1", "label 2"])
    ]
    assert json.loads(json.dumps(document)) == document


def test_numbers_are_of_the_body_not_of_the_storage(tmp_path):
    """One volume with its axes in every order has one spacing and one size."""
    image = scan(0)[:5]
    for number, order in enumerate([(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]):
        add(tmp_path, f"case_{number}", image.transpose(order) + number, matrix=affine(np.diag([1, 1.5, 2])[:, order]))
    document = examine(tmp_path)
    assert document["good"]
    assert len(document["images"]["axes"]) == 4
    for column in ("lowest", "median", "highest"):
        assert document["images"]["size"][column] == [5, 7, 8]
        assert document["images"]["spacing"][column] == [1, 1.5, 2]


WHOLE = np.rint(IMAGE)
STORED_OTHERWISE = {
    "not zipped": (IMAGE, lambda path: save()(path.with_name("copy.nii"))),
    "another compression": (IMAGE, lambda path: path.write_bytes(gzip.compress(nifti(), compresslevel=1))),
    "another description": (IMAGE, save(descrip=b"exported again")),
    "without its origin": (IMAGE, save(IMAGE, affine(AFFINE[:3, :3], (0, 0, 0)))),
    "flipped with its affine": (IMAGE, save(IMAGE[::-1], FLIP)),
    "axes in another order": (IMAGE, save(IMAGE.transpose(2, 0, 1), AFFINE[:, [2, 0, 1, 3]])),
    "the other byte order": (IMAGE, save(order=">")),
    "NIfTI-2": (IMAGE, save(kind=nib.Nifti2Image)),
    "with an axis of one channel": (IMAGE, save(IMAGE[..., None])),
    "another type": (WHOLE, save(WHOLE.astype(np.int16))),
    "scaled": (WHOLE, save((WHOLE * 2).astype(np.int16), scl_slope=0.5, scl_inter=0)),
}


@pytest.mark.parametrize("way", STORED_OTHERWISE)
def test_an_image_that_is_stored_twice_in_two_ways(tmp_path, way):
    image, store = STORED_OTHERWISE[way]
    for number in range(2):
        save(scan(number))(tmp_path / f"case_{number}.nii.gz")
    save(image)(tmp_path / "b.nii.gz")
    store(tmp_path / "copy.nii.gz")
    document = examine(tmp_path)
    (found,) = document["faults"]
    assert Path(found["file"]).name.startswith("copy.nii")
    assert found["problem"] == f"a copy of {tmp_path / 'b.nii.gz'} (the same voxels, stored otherwise)"
    assert not document["good"]
    assert document["cases"]["good"] == 3


def test_copies_of_a_file_and_images_that_are_none(tmp_path):
    save()(tmp_path / "a.nii.gz")
    shutil.copy(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    save(IMAGE[::-1])(tmp_path / "mirrored.nii.gz")
    save(with_value(100))(tmp_path / "one_voxel_else.nii.gz")
    save(np.ones(SHAPE, np.uint8))(tmp_path / "constant_1.nii.gz")
    save(np.ones(SHAPE, np.uint8))(tmp_path / "constant_2.nii.gz")
    found = problems(examine(tmp_path))
    assert set(found) == {"b.nii.gz", "constant_1.nii.gz", "constant_2.nii.gz"}
    assert found["b.nii.gz"].endswith("a.nii.gz (byte for byte)")
    assert "constant" in found["constant_2.nii.gz"]


def test_of_two_copies_the_useful_one_is_kept(folder):
    shutil.copy(folder / "imagesTr" / "case_3.nii.gz", folder / "imagesTr" / "a_copy.nii.gz")  # without a label
    document = examine(folder)
    found = problems(document)
    assert set(found) == {"a_copy.nii.gz"}
    assert {fault["problem"][:6] for fault in document["faults"]} == {"no lab", "a copy"}
    assert document["cases"]["good"] == 6


def test_copies_between_sections(folder):
    shutil.copy(folder / "imagesTr" / "case_5.nii.gz", folder / "imagesTr" / "case_0.nii.gz")
    save(scan(4)[::-1], FLIP)(folder / "imagesTr" / "case_1.nii.gz")
    save(label_of(scan(4))[::-1], FLIP)(folder / "labelsTr" / "case_1.nii.gz")
    list_cases(folder, training=[0, 1, 2], validation=[3, 4], test=[5])
    found = problems(examine(folder))
    assert set(found) == {"case_0.nii.gz", "case_1.nii.gz"}
    assert "case_5.nii.gz (byte for byte) in test" in found["case_0.nii.gz"]
    assert "case_4.nii.gz (the same voxels, stored otherwise) in validation" in found["case_1.nii.gz"]


@pytest.mark.parametrize("as_file", [False, True])
def test_overlap_with_another_data_set(folder, tmp_path, as_file):
    other = tmp_path / "other"
    add(other, "case_8", scan(2)[::-1], matrix=FLIP)
    add(other, "case_1", scan(11))
    add(other, "case_9", scan(12))
    (other / "imagesTr" / "broken.nii.gz").write_bytes(b"broken")
    if as_file:
        list_cases(other, "theirs.json", training=[8, 1, 9])
        other = other / "theirs.json"
    document = examine(folder, against=other)
    assert problems(document) == {
        "case_2.nii.gz": f"also in {other}: {tmp_path}/other/imagesTr/case_8.nii.gz (the same voxels, stored otherwise)"
    }
    assert list(problems(document, fatal=False)) == ["case_1.nii.gz"]
    assert document["cases"]["good"] == 5
    assert examine(folder)["good"]


def test_labels(folder):
    (folder / "labelsTr" / "case_0.nii.gz").rename(folder / "labelsTr" / "case_O.nii.gz")
    save(LABEL * 0)(folder / "labelsTr" / "case_1.nii.gz")
    save(LABEL, AFFINE @ np.diag([-1, 1, 1, 1]))(folder / "labelsTr" / "case_2.nii.gz")  # mirrored at another plane
    for number in range(6, 10):
        add(folder, f"case_{number}", scan(number))
    slip = label_of(scan(9))
    slip[0, 0, 0] = 7
    save(slip)(folder / "labelsTr" / "case_9.nii.gz")
    shutil.copy(folder / "labelsTr" / "case_7.nii.gz", folder / "labelsTr" / "case_8.nii.gz")
    document = examine(folder)
    fatal, warnings = problems(document), problems(document, fatal=False)
    assert set(fatal) == {"case_0.nii.gz", "case_2.nii.gz"}
    assert fatal["case_0.nii.gz"] == "no label"
    assert "axes RPS against LPS" in fatal["case_2.nii.gz"]
    assert set(warnings) == {"case_O.nii.gz", "case_1.nii.gz", "case_8.nii.gz", "case_9.nii.gz"}
    assert "without an image" in warnings["case_O.nii.gz"]
    assert warnings["case_1.nii.gz"] == "background only"
    assert "the same label map as" in warnings["case_8.nii.gz"]
    assert "label id 7 (1 voxel)" in warnings["case_9.nii.gz"]
    assert {row["id"]: row["cases"] for row in document["labels"]} == {0: 8, 1: 7, 2: 7, 7: 1}
    assert document["cases"]["labelled"] == 9


@pytest.mark.parametrize(
    "declared",
    [{"0": "background", "1": "organ"}, {"background": 0, "organ": 1}],
    ids=["Decathlon", "nnU-Net"],
)
def test_ids_that_the_data_set_does_not_declare(folder, declared):
    save((LABEL > 0).astype(np.uint8))(folder / "labelsTr" / "case_4.nii.gz")
    list_cases(folder, more={"labels": declared}, training=[0, 4])
    document = examine(folder)
    assert problems(document) == {"case_0.nii.gz": "unknown label ids [2]: expected [0, 1]"}
    assert [row["name"] for row in document["labels"]] == ["background", "organ"]


def test_classes(tmp_path):
    entries = []
    for number in range(4):
        save(scan(number))(tmp_path / f"c{number}.nii.gz")
        entries.append({"image": f"c{number}.nii.gz", "label": number % 2})
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    document = examine(tmp_path)
    assert document["good"]
    assert [(row["id"], row["cases"], row["voxels"]) for row in document["labels"]] == [(0, 2, 0), (1, 2, 0)]
    assert document["settings"]["cases#label_ids"] == [0, 1]
    assert "network_def#out_channels" not in document["settings"]


def test_ct_is_known_and_its_window_is_of_the_labels(tmp_path):
    for number in range(3):
        image = np.full((12, 12, 12), -1000, np.int16)
        image[2:] = np.random.default_rng(number).integers(-90, 91, (10, 12, 12))
        image[11, 11, 11] = 1500
        label = np.zeros(image.shape, np.uint8)
        label[2:] = 1
        add(tmp_path, f"ct_{number}", image, label)
    for path in (tmp_path / "labelsTr").iterdir():  # the same voxels, backwards
        label = nib.load(path)
        matrix = label.affine @ np.diag([-1, 1, 1, 1])
        matrix[:3, 3] += 11 * label.affine[:3, 0]
        save(np.asarray(label.dataobj)[::-1], matrix)(path)
    document = examine(tmp_path)
    assert document["good"]
    assert document["window"] == [-90, 90]
    assert document["images"]["hounsfield"] == 3
    assert "CT window: -90 to 90 HU" in text(document, 80)
    shutil.rmtree(tmp_path / "labelsTr")
    assert examine(tmp_path)["window"] == [-1000, 90]
    add(tmp_path, "mr", scan(7))
    document = examine(tmp_path)
    assert list(problems(document, fatal=False)) == ["mr.nii.gz"]
    assert document["window"] == [-1000, 90]


def test_folders_of_dicom_files(tmp_path):
    pytest.importorskip("pydicom")
    dicom_files = importlib.import_module("dicom_files")
    for number in range(3):
        dicom_files.write_series(
            tmp_path / "images" / f"p{number}", dicom_files.volume(number), StudyInstanceUID=f"1.{number}"
        )
        hu = dicom_files.volume(number) - 1024.0
        (tmp_path / "labels").mkdir(exist_ok=True)
        save((hu > 500).astype(np.uint8), dicom_files.AXIAL)(tmp_path / "labels" / f"p{number}.nii.gz")
    document = examine(tmp_path)
    assert document["good"]
    assert document["images"]["types"] == {"float32": 3}
    assert document["images"]["spacing"]["median"] == [0.7, 0.8, 2.5]
    assert document["window"][0] == 500, "the label, whose file has another memory order, marks what is above 500 HU"
    save(hu.astype(np.float32), dicom_files.AXIAL)(tmp_path / "images" / "p3.nii.gz")
    document = examine(tmp_path, against=tmp_path / "images" / "p2")
    assert "the same voxels" in problems(document)["p3.nii.gz"]


def test_the_odd_number_of_channels(tmp_path):
    for number in range(3):
        save(np.stack([scan(number), scan(number + 10)], -1))(tmp_path / f"c{number}.nii.gz")
    save(scan(5))(tmp_path / "c5.nii.gz")
    document = examine(tmp_path)
    assert problems(document) == {"c5.nii.gz": "1 channels, where most cases have 2"}
    assert document["settings"]["cases#channels"] == 2


def test_lists_that_cannot_be_used_are_a_finding_and_what_is_not_there_is_an_error(folder, tmp_path):
    list_cases(folder, training=[0, 1], test=[1])
    document = examine(folder)
    assert not document["good"]
    assert "listed twice" in problems(document)["dataset.json"]
    assert "listed twice" in " ".join(text(document, 120).split())
    for arguments in ({"folder": tmp_path / "gone"}, {"folder": folder / "dataset.json"}):
        with pytest.raises(FileNotFoundError, match="The folder"):
            examine(**arguments)
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        examine(folder, datalist="none.json")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        examine(folder, against=tmp_path / "nowhere")


def test_percentiles_of_large_volumes_are_those_of_a_sample(tmp_path, monkeypatch):
    image = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    image += np.arange(20)[:, None, None]  # a stride of 20 would see one column alone
    save(image)(tmp_path / "a.nii.gz")
    exact = examine_case({"image": str(tmp_path / "a.nii.gz"), "name": "a"}, "training").images[0].percentiles
    monkeypatch.setattr("ssl3d.imaging.scan_facts.SAMPLE", 400)
    rough = examine_case({"image": str(tmp_path / "a.nii.gz"), "name": "a"}, "training").images[0].percentiles
    np.testing.assert_allclose(exact, np.percentile(image, (0.5, 1, 50, 99, 99.5)), rtol=1e-5)
    np.testing.assert_allclose(rough, exact, atol=1.5)
    assert rough != exact


def test_a_thread_holds_one_volume_at_a_time(folder, monkeypatch):
    own = threading.local()

    def read(path):
        former = getattr(own, "volume", lambda: None)()
        assert former is None, "the volume read before is still held"
        volume = read_volume(path)
        own.volume = weakref.ref(volume)
        return volume

    monkeypatch.setattr("ssl3d.data.checks.read_volume", read)
    assert examine(folder)["good"]


def test_the_real_hippocampi(data_dir):
    document = examine(data_dir / "msd_hippocampus")
    assert document["good"]
    assert document["cases"]["good"] == 195
    assert document["settings"]["roi_size"] == [32, 48, 32]
    assert document["settings"]["pixdim"] == [1, 1, 1]
    assert document["images"]["size"] == {"lowest": [31, 40, 24], "median": [35, 50, 36], "highest": [43, 59, 47]}
    assert [row["cases"] for row in document["labels"]] == [195, 195, 195]
