"""Sections of a data set: its own, folds, a file with names, or a split."""

import json

import pytest

from ssl3d.data import Datalist
from ssl3d.data.splits import HIPPOCAMPUS_NAMES, SECTIONS, positional_split


@pytest.fixture
def listed(make_dataset):
    """``listed(n, **lists)`` writes n cases and a JSON file, whose lists name numbers of cases."""

    def make(n=8, **lists):
        folder = make_dataset(n)
        content = {key: [entry(i) if isinstance(i, int) else i for i in numbers] for key, numbers in lists.items()}
        if lists:
            (folder / "dataset.json").write_text(json.dumps(content))
        return folder

    return make


def entry(number, **more):
    return {"image": f"imagesTr/case_{number:02d}.nii.gz", "label": f"labelsTr/case_{number:02d}.nii.gz", **more}


def sections(folder, split="positional", **options):
    """Numbers of the cases in each section."""
    found = {}
    for section in SECTIONS:
        try:
            found[section] = [int(item["name"][-2:]) for item in Datalist(folder, section, split=split, **options)]
        except ValueError as error:
            assert f"no {section} section" in str(error)
            found[section] = None
    return tuple(found.values())


@pytest.mark.parametrize("validation", ["validation", "val", "valid", "VAL"])
@pytest.mark.parametrize("test", ["test", "testing"])
@pytest.mark.parametrize("split", ["positional", "hippocampus", "pretraining"])
def test_declared_sections_are_kept(listed, validation, test, split):
    folder = listed(train=[0, 3, 1], **{validation: [2, 4], test: [5, 6]})
    assert sections(folder, split) == ([0, 3, 1], [2, 4], [5, 6])
    assert len(Datalist(folder, "all")) == 7


def test_unknown_lists_of_cases_are_refused_by_name(listed):
    folder = listed(training=[0, 1, 2, 3], dev=[4, 5])
    with pytest.raises(ValueError, match=r'"dev" \(2 cases\).*validation \(val, valid\)'):
        Datalist(folder, "training")
    (folder / "dataset.json").write_text(json.dumps({"training": ["imagesTr/case_00.nii.gz"], "extra": ["a.nii.gz"]}))
    with pytest.raises(ValueError, match=r'"extra" \(1 cases\)'):
        Datalist(folder, "all")
    (folder / "dataset.json").write_text(json.dumps({"training": {"image": "x.nii.gz"}}))
    with pytest.raises(ValueError, match='"training" must be a list'):
        Datalist(folder, "all")


def test_folds_of_the_entries(listed):
    folder = listed(training=[entry(i, fold=i % 3) for i in range(6)], testing=[6, 7])
    assert sections(folder) == ([1, 2, 4, 5], [0, 3], [6, 7])
    for choice in ("fold 2", "folds 3/2", "Folds  3 / 2"):
        assert sections(folder, choice) == ([0, 1, 3, 4], [2, 5], [6, 7])
    with pytest.raises(ValueError, match="no fold 3: the data set declares 3"):
        Datalist(folder, "training", split="fold 3")


def test_folds_of_nnunet(listed):
    folder = listed(5)
    names = [f"case_{i:02d}" for i in range(5)]
    folds = [{"train": names[2:], "val": names[:2]}, {"train": names[:2], "val": names[2:]}]
    (folder / "splits_final.json").write_text(json.dumps(folds))
    assert sections(folder) == ([2, 3, 4], [0, 1], None)
    assert sections(folder, "fold 1") == ([0, 1], [2, 3, 4], None)
    folds[0]["val"].append("case_77")
    (folder / "splits_final.json").write_text(json.dumps(folds))
    with pytest.raises(ValueError, match="case_77"):
        Datalist(folder, "training")


def test_folders_of_validation_and_test(listed, write_nifti, image_array, caplog):
    folder = listed(8)
    for place in ("Ts", "Va"):
        for i in range(3):
            name = f"case_{20 + i + 10 * (place == 'Va')}.nii.gz"
            write_nifti(folder / f"images{place}" / name, image_array(i))
            write_nifti(folder / f"labels{place}" / name, (image_array(i) > 0).astype("uint8"))
    (folder / "images_old").mkdir()
    assert sections(folder) == (list(range(8)), [30, 31, 32], [20, 21, 22])
    assert len(Datalist(folder, "all")) == 14, "inference reads all of them"
    assert "images_old not read" in caplog.text
    for place in ("imagesTr", "imagesVa", "images_old"):
        (folder / place).rename(folder.parent / place)
    assert len(Datalist(folder, "all", labels="ignored")) == 3, "a folder of test images alone, as for inference"


def test_unlabelled_test_images_are_left_to_inference(listed, write_nifti, image_array):
    folder = listed(8)
    write_nifti(folder / "imagesTs" / "case_20.nii.gz", image_array(9))
    assert sections(folder) == ([0, 1, 4, 5, 6], [2], [3, 7])
    assert sections(folder, "pretraining", labels="ignored") == ([0, 1, 3, 4, 5, 6, 7], [2], [20])
    assert len(Datalist(folder, "all", labels="ignored")) == 9


def test_pretraining_takes_all_but_validation_unless_a_test_section_is_declared(listed):
    assert sections(listed(8), "pretraining") == ([0, 1, 3, 4, 5, 6, 7], [2], None)
    assert sections(listed(8, training=range(6), test=[6, 7]), "pretraining") == ([0, 1, 3, 4, 5], [2], [6, 7])
    folder = listed(8, training=range(8))
    content = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**content, "synthetic": True}))
    assert sections(folder, "pretraining") == sections(folder), "examples on synthetic data stay as they are"


def test_published_sections_of_the_hippocampus_cases(data_dir):
    kept = {
        split: {
            s: [i["name"] for i in Datalist(data_dir / "msd_hippocampus", s, split=split)]
            for s in ("validation", "test")
        }
        for split in ("pretraining", "hippocampus")
    }
    assert kept["pretraining"] == kept["hippocampus"]
    expected = positional_split(sorted(HIPPOCAMPUS_NAMES))
    assert kept["hippocampus"] == {section: expected[section] for section in ("validation", "test")}


def test_none_trains_on_all_cases(listed):
    assert sections(listed(2), "none") == ([0, 1], [], None)
    assert sections(listed(4), "none") == ([0, 1, 2, 3], [], None)
    folder = listed(6, training=[0, 1], validation=[2], test=[3, 4])
    assert sections(folder, "none") == ([0, 1, 2], [], [3, 4])


def test_folds_of_the_project(listed):
    folder = listed(7)
    parts = [sections(folder, f"folds 3/{i}") for i in range(3)]
    assert sorted(number for _, validation, _ in parts for number in validation) == list(range(7))
    for training, validation, test in parts:
        assert sorted([*training, *validation]) == list(range(7))
        assert test is None
        assert len(validation) in (2, 3)
    assert sections(listed(7), "folds 7/0")[1] != sections(folder, "folds 7/1")[1]
    for split, message in (
        ("folds 8/0", "2 to 7 folds"),
        ("folds 3/3", "no fold 3 of 3"),
        ("fold 1", "declares no folds"),
    ):
        with pytest.raises(ValueError, match=message):
            Datalist(folder, "training", split=split)


def test_a_file_with_names(listed, tmp_path, caplog):
    folder = listed(6)
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"train": ["case_00", "imagesTr/case_01.nii.gz"], "val": ["case_05"], "note": "mine"}))
    assert sections(folder, str(file)) == ([0, 1], [5], None)
    assert "does not list 3 case(s), which are left out: case_02, case_03, case_04" in caplog.text
    file.write_text(json.dumps({"test": ["case_05"]}))
    assert sections(folder, str(file)) == ([0, 1, 2, 3, 4], [], [5])
    file.write_text(json.dumps({"test": ["case_05", "nobody"]}))
    with pytest.raises(ValueError, match=r"split\.json, test: 1 name\(s\).*nobody.*6 cases, such as case_00"):
        Datalist(folder, "training", split=str(file))
    file.write_text(json.dumps({"test": ["case_05"], "val": ["case_05"]}))
    with pytest.raises(ValueError, match="twice: case_05"):
        Datalist(folder, "training", split=str(file))
    with pytest.raises(FileNotFoundError, match="no_such\\.json does not exist"):
        Datalist(folder, "training", split="no_such.json")
    with pytest.raises(ValueError, match="names no section"):
        file.write_text("{}")
        Datalist(folder, "training", split=str(file))


def test_paths_of_windows(listed):
    folder = listed(4)
    entries = [
        {key: "." * (i == 0) + "\\" * (i == 0) + path.replace("/", "\\") for key, path in entry(i).items()}
        for i in range(4)
    ]
    (folder / "dataset.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"training": entries}).encode())
    assert len(Datalist(folder, "all")) == 4


def test_several_labels_of_a_case(listed):
    folder = listed(training=[{"image": "imagesTr/case_00.nii.gz", "label": ["a.nii.gz", "b.nii.gz"]}])
    with pytest.raises(ValueError, match=r"2 labels\. Several labels per case are not read: merge"):
        Datalist(folder, "all")
