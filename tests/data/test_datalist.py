"""Datalists from JSON, from folders, from synthetic anatomy."""

import json
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from monai.data import DataLoader, Dataset
from monai.transforms import LoadImaged

from ssl3d.data import DataError, Datalist
from ssl3d.data.label_ids import describe_absent
from ssl3d.data.splits import SECTIONS


def write_json(folder: Path, content: dict, name: str = "dataset.json") -> None:
    (folder / name).write_text(json.dumps(content))


def decathlon(folder: Path, **more) -> None:
    names = sorted(path.name for path in (folder / "imagesTr").glob("case*"))
    entries = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
    write_json(folder, {"name": "Task", "training": entries, **more})


def names(*args, **kwargs) -> list[str]:
    return [item["name"] for item in Datalist(*args, **kwargs)]


def test_decathlon_file(make_dataset):
    folder = make_dataset(9)
    decathlon(folder)
    items = Datalist(folder, "training", label_ids={"0": "background", "1": "organ"})
    assert items[0] == {
        "image": str(folder / "imagesTr" / "case_00.nii.gz"),
        "label": str(folder / "labelsTr" / "case_00.nii.gz"),
        "name": "case_00",
        "group": "Task",
    }
    assert isinstance(items, list)
    assert not items.synthetic
    assert items.skipped == []
    assert names(folder, "validation") == ["case_02"]
    assert names(folder, "test") == ["case_03", "case_07"]
    assert names(folder, "training") == [f"case_0{i}" for i in (0, 1, 4, 5, 6, 8)]


def test_a_folder_gives_what_its_json_file_gives(make_dataset):
    folder = make_dataset(9)
    for hidden in ("imagesTr", "labelsTr"):
        (folder / hidden / "._case_01.nii.gz").write_bytes(b"\0\5\26\7 from macOS")
    listed = {section: names(folder, section) for section in SECTIONS}
    assert Datalist(folder, "training")[0]["group"] == "set"
    decathlon(folder)
    assert listed == {section: names(folder, section) for section in SECTIONS}


@pytest.mark.parametrize("place", ["images", "images_2024", "."])
def test_other_folders(tmp_path, write_nifti, image_array, place):
    for i in range(4):
        write_nifti(tmp_path / place / f"p{i}.nii", image_array(i))
    labels = "labels" if place == "." else place.replace("images", "labels")
    write_nifti(tmp_path / labels / "p0.nii.gz", np.ones((6, 7, 8), np.uint8))
    items = Datalist(tmp_path, "training", labels="optional")
    assert [item["name"] for item in items] == ["p0", "p1"]
    assert ["label" in item for item in items] == [True, False]
    assert all("label" not in item for item in Datalist(tmp_path, "training", labels="ignored"))
    with pytest.raises(DataError, match=r"p1\.nii: no label"):
        Datalist(tmp_path, "training")


def test_nnunet_channels(tmp_path, write_nifti, image_array):
    for i in range(4):
        for channel in range(2):
            write_nifti(tmp_path / "imagesTr" / f"brain_{i}_000{channel}.nii.gz", image_array(i))
        write_nifti(tmp_path / "labelsTr" / f"brain_{i}.nii.gz", np.ones((6, 7, 8), np.uint8))
    write_json(tmp_path, {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0}, "numTraining": 4})
    items = Datalist(tmp_path, "training", channels=2)
    assert [item["name"] for item in items] == ["brain_0", "brain_1"]
    assert [Path(path).name for path in items[0]["image"]] == ["brain_0_0000.nii.gz", "brain_0_0001.nii.gz"]
    with pytest.raises(DataError, match="2 channels"):
        Datalist(tmp_path, "training")


def test_own_sections_are_used_as_they_are(make_dataset):
    folder = make_dataset(6)

    def entry(i):
        return {"image": f"imagesTr/case_0{i}.nii.gz", "label": f"labelsTr/case_0{i}.nii.gz", "group": f"g{i % 2}"}

    test = [entry(4), "imagesTr/case_05.nii.gz"]
    content = {"training": [entry(3), entry(0)], "validation": [entry(1)], "test": test}
    write_json(folder, content, "fold_0.json")
    assert [names(folder, section, datalist="fold_0.json") for section in SECTIONS] == [
        ["case_03", "case_00"],
        ["case_01"],
        ["case_04"],
    ]
    assert names(None, "validation", datalist=folder / "fold_0.json") == ["case_01"]
    assert Datalist(folder, "training", datalist=folder / "fold_0.json")[0]["group"] == "g1"

    del content["validation"]  # a labelled test section stays, the others are split in two
    content["training"] = [entry(3), entry(2), entry(1), entry(0)]
    write_json(folder, content, "fold_1.json")
    assert [names(folder, section, datalist="fold_1.json") for section in SECTIONS] == [
        ["case_00", "case_01", "case_03"],
        ["case_02"],
        ["case_04"],
    ]
    content["validation"] = [entry(0)]
    write_json(folder, content, "leak.json")
    with pytest.raises(ValueError, match=r"listed twice.*case_00"):
        Datalist(folder, "training", datalist="leak.json")


def test_files_of_one_name_in_several_folders(tmp_path, write_nifti, image_array):
    for i in range(4):
        write_nifti(tmp_path / f"p{i}" / "ct.nii.gz", image_array(i))
    write_json(tmp_path, {"training": [f"p{i}/ct.nii.gz" for i in range(4)]})
    assert names(tmp_path, "training", labels="ignored") == ["p0_ct", "p1_ct"]


def test_files_that_differ_in_their_ending_or_folder_alone_are_refused(tmp_path, write_nifti, image_array):
    for i in range(3):
        write_nifti(tmp_path / f"p{i}.nii.gz", image_array(i))
        write_nifti(tmp_path / "labels" / f"p{i}.nii.gz", np.ones((6, 7, 8), np.uint8))
    twin = write_nifti(tmp_path / "p1.nii", image_array(7))
    with pytest.raises(ValueError, match=rf"{tmp_path}/p1\.nii, {tmp_path}/p1\.nii\.gz\. Remove or rename"):
        Datalist(tmp_path, "all")
    twin.unlink()
    other = write_nifti(tmp_path / "labels_of_another_reader" / "p2.nii.gz", np.ones((6, 7, 8), np.uint8))
    with pytest.raises(ValueError, match=rf"labels/p2\.nii\.gz, {other}\. Remove"):
        Datalist(tmp_path, "all")
    other.unlink()
    assert names(tmp_path, "all") == ["p0", "p1", "p2"]


def test_labelled_subset_is_taken_from_training_alone_and_only_its_files_are_read(make_dataset):
    folder = make_dataset(12)
    training = names(folder, "training")
    drawn = random.Random(5).sample(training, len(training))
    assert names(folder, "training", num_labelled=2, seed=5) == drawn[:2]
    assert names(folder, "training", num_labelled=4, seed=5) == drawn[:4]
    for everything in (None, 0, "all"):
        assert names(folder, "training", num_labelled=everything) == training
    assert len(Datalist(folder, "test", num_labelled=1)) == 3
    (folder / "imagesTr" / f"{drawn[-1]}.nii.gz").write_bytes(b"damaged")
    assert names(folder, "training", num_labelled=2, seed=5) == drawn[:2]
    with pytest.raises(ValueError, match="7 training cases, got 8"):
        Datalist(folder, "training", num_labelled=8)


def test_skip_bad(make_dataset):
    folder = make_dataset(4)
    (folder / "imagesTr" / "case_00.nii.gz").write_bytes(b"damaged")
    with pytest.raises(DataError, match="case_00"):
        Datalist(folder, "training")
    items = Datalist(folder, "training", skip_bad=True)
    assert [item["name"] for item in items] == ["case_01"]
    assert [Path(fault.file).name for fault in items.skipped] == ["case_00.nii.gz"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "not valid JSON"),
        ("[]", "must hold an object"),
        ('{"training": []}', "lists nothing"),
        ('{"training": [{"label": "x"}]}', 'training entry 1 must have an "image"'),
        ('{"training": [{"image": 3}]}', 'training entry 1 must have an "image"'),
    ],
)
def test_bad_json(tmp_path, content, word):
    (tmp_path / "my.json").write_text(content)
    with pytest.raises(ValueError, match=word):
        Datalist(tmp_path, "training", datalist="my.json")


def test_what_does_not_exist(tmp_path, make_dataset):
    with pytest.raises(FileNotFoundError, match=r"/nowhere does not exist\. Give the folder"):
        Datalist("/nowhere", "training", kind="hippocampus")
    with pytest.raises(FileNotFoundError, match=r"No dataset\.json and no \.nii"):
        Datalist(tmp_path, "training")
    with pytest.raises(FileNotFoundError, match=r"other\.json does not exist"):
        Datalist(make_dataset(1), "training", datalist="other.json")
    with pytest.raises(ValueError, match="at least 3"):
        Datalist(make_dataset(2), "training")
    for wrong in ({"section": "train"}, {"split": "random"}, {"labels": "yes"}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be one of"):
            Datalist(tmp_path, **{"section": "training", **wrong})
    with pytest.raises(ValueError, match="Neither dataset_dir nor kind"):
        Datalist(None, "training")


def test_synthetic_data_are_made_once_and_marked(make_dataset, monkeypatch, own_cache, caplog):
    made = []

    def synthesize(kind, output_dir, **options):
        made.append((kind, options))
        folder = make_dataset(4)
        decathlon(folder, synthetic=True)
        output_dir.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(output_dir)
        if len(made) == 1:
            raise OSError("another process was first")

    monkeypatch.setattr("ssl3d.data.datalist.synthesize", synthesize)
    items = Datalist(None, "training", kind="chest", synthesis={"subjects": 4})
    assert items.synthetic
    assert all(item["synthetic"] is True for item in items)
    assert own_cache in Path(items[0]["image"]).parents
    assert "SYNTHETIC anatomy of kind chest" in caplog.text
    Datalist(None, "validation", kind="chest", synthesis={"subjects": 4})
    assert made == [("chest", {"subjects": 4})]
    Datalist(None, "validation", kind="chest")
    assert made[1:] == [("chest", {})]
    batch = next(iter(DataLoader(Dataset(items, LoadImaged(["image", "label"])), batch_size=2)))
    assert batch["image"].shape == (2, 6, 7, 8)
    assert batch["synthetic"].tolist() == [True, True]


def test_a_failing_generator_is_not_hidden(monkeypatch):
    def synthesize(kind, output_dir, **options):
        raise OSError("disk full")

    monkeypatch.setattr("ssl3d.data.datalist.synthesize", synthesize)
    with pytest.raises(OSError, match="disk full"):
        Datalist(None, "training", kind="chest")


def test_pickles(make_dataset):
    items = Datalist(make_dataset(4), "training")
    again = pickle.loads(pickle.dumps(items))
    assert again == items
    assert again.synthetic is False


def test_the_real_split(data_dir):
    lists = {
        section: Datalist(data_dir / "msd_hippocampus", section, split="hippocampus", label_ids=range(3))
        for section in SECTIONS
    }
    assert [len(lists[section]) for section in SECTIONS] == [122, 25, 48]
    assert len({item["image"] for items in lists.values() for item in items}) == 195
    assert {item["group"] for item in lists["training"]} == {"Hippocampus"}


def test_all_cases_and_the_corpus_for_a_passport(make_dataset, caplog):
    folder = make_dataset(9)
    decathlon(folder, licence="CC0-1.0")
    with caplog.at_level("INFO"):
        everything = Datalist(folder, "all")
    assert len(everything) == 9
    assert "Task: 9 cases." in caplog.text and "9 of 9" not in caplog.text
    assert everything.corpus == [{"name": "Task", "count": 9, "licence": "CC0-1.0"}]
    decathlon(folder)
    assert Datalist(folder, "training", num_labelled=2).corpus == [{"name": "Task", "count": 2, "licence": "unknown"}]


def test_a_class_that_no_training_label_holds_is_named(make_dataset, caplog):
    folder = make_dataset(8)
    decathlon(folder, labels={"0": "background", "1": "head", "2": "tail"})
    for _ in range(2):  # the second time from what the first has kept
        caplog.clear()
        Datalist(folder, "training", label_ids=range(3))
        assert "no training label holds class 2 (tail)" in caplog.text
    for section, ids in (("training", range(2)), ("validation", range(3)), ("training", None)):
        caplog.clear()
        Datalist(folder, section, label_ids=ids)
        assert "holds class" not in caplog.text


def test_the_warning_of_absent_classes_says_what_the_other_ids_are_trained_as(make_dataset, caplog):
    names = {0: "background", 1: "spleen", 2: "liver", 3: "aorta", 4: "background"}
    Datalist(make_dataset(8), "training", label_ids=names)
    assert "no training label holds classes 2 (liver), 3 (aorta). The network cannot learn them." in caplog.text
    assert "Label id 1 is trained as spleen." in caplog.text
    assert '--label_names "spleen"' in caplog.text


def test_label_names_are_advised_only_where_the_labels_hold_the_first_ids():
    names = {0: "background", 1: "spleen", 2: "liver", 3: "aorta"}
    text = describe_absent([3], range(4), names)
    assert "Label ids 1, 2 are trained as spleen, liver." in text and '--label_names "spleen,liver"' in text
    text = describe_absent([1], range(4), names)
    assert "Label ids 2, 3 are trained as liver, aorta." in text and "--label_names" not in text
    assert "trained as" not in describe_absent([2], range(3), {})
