"""Scans of one patient: told by a key, by BIDS names, by what names share, by DICOM's PatientID."""

import random
from pathlib import Path

import pytest

from ssl3d.data import Datalist, labelled_subset
from ssl3d.data.patients import find_patients
from ssl3d.data.splits import HIPPOCAMPUS_NAMES, SECTIONS

ROOT = Path("/data/set")


def entries(names, **more):
    return [{"name": name, "image": str(ROOT / f"{name}.nii.gz"), **more} for name in names]


def groups(names):
    found = find_patients(entries(names), ROOT)
    return sorted(sorted(names[i] for i in numbers) for numbers in found.shared.values())


@pytest.mark.parametrize(
    "names",
    [
        ["sub01_ses1", "sub01_ses2", "sub02_ses1", "sub02_ses2", "sub03_ses1"],
        ["sub-01_ses-1_T1w", "sub-01_ses-2_T1w", "sub-02_T1w"],
        ["patient01_before", "patient01_after", "patient02_before", "patient02_after"],
        ["anna_pre", "anna_post", "bert_pre", "bert_post"],
        ["sub0_2019", "sub0_2021", "sub1_2019", "sub1_2021", "sub2_2019"],
        ["BraTS-GLI-00003-000", "BraTS-GLI-00003-001", "BraTS-GLI-00005-000", "BraTS-GLI-00006-000"],
        ["OAS1_0001_MR1", "OAS1_0001_MR2", "OAS1_0002_MR1", "OAS1_0004_MR1"],
        ["1000001_2_0", "1000001_3_0", "1000002_2_0", "1000003_2_0"],
        ["P01-V1", "P01-V2", "P02-V1"],
        ["p1_left", "p1_right", "p2_left"],
        ["001a", "001b", "002a", "003a"],
        ["patient001_frame01", "patient001_frame12", "patient002_frame01", "patient003_frame01"],
    ],
)
def test_names_that_share_their_patient(names):
    found = groups(names)
    assert found[0] == sorted(names[:2])
    assert all(len(group) <= 2 for group in found)


@pytest.mark.parametrize(
    "names",
    [
        sorted(HIPPOCAMPUS_NAMES),
        [f"word_{i:04d}" for i in range(9)],
        [f"case_{i:05d}" for i in range(9)],
        [f"FLARE22_Tr_{i:04d}" for i in range(9)],
        [f"{kind}_train_{i}" for kind in ("ct", "mr") for i in range(2001, 2021)],
        [f"site{site}_{i:03d}" for site in (1, 2, 3) for i in range(20)],
        [f"IXI{i:03d}-Guys-0{800 + i}-T1" for i in range(9)],
        ["t1", "t2", "t3", "t4"],
        [f"sub-{i:02d}_T1w" for i in range(9)],
    ],
)
def test_other_names_are_patients_of_their_own(names):
    found = find_patients(entries(names), ROOT)
    assert not found.shared
    assert found.source == ""


def test_a_bids_folder_above_the_data_set_does_not_count():
    root = Path("/home/sub-x/set")
    items = [{"name": f"c{i}", "image": str(root / f"c{i}.nii.gz")} for i in range(4)]
    assert not find_patients(items, root).shared
    items = [{"name": f"c{i}", "image": str(root / f"sub-0{i // 2}/anat/c{i}.nii.gz")} for i in range(4)]
    assert [len(numbers) for numbers in find_patients(items, root).shared.values()] == [2, 2]


def test_the_key_comes_first():
    items = entries(["sub01_ses1", "sub01_ses2", "x"])
    items[0]["patient"] = items[2]["patient"] = 7
    assert find_patients(items, ROOT).keys == ["7", "sub01_ses2", "7"]


def test_names_in_doubt_are_named():
    names = [f"pat0{p}_{i}" for p in (1, 2) for i in range(5)]
    found = find_patients(entries(names), ROOT)
    assert not found.shared
    assert found.doubt == "pat01_0, pat01_1, pat01_2"


def test_no_section_shares_a_patient(tmp_path, write_nifti, image_array, caplog):
    for p in range(8):
        for visit in (1, 2):
            write_nifti(tmp_path / "imagesTr" / f"sub{p:02d}_ses{visit}.nii.gz", image_array(2 * p + visit))
    for split in ("positional", "pretraining", "folds 4/1", "hippocampus"):
        members = {}
        with caplog.at_level("INFO"):
            training = Datalist(tmp_path, "training", split=split, labels="ignored")
        for section, names in training.sections.items():
            members[section] = {name[:5] for name in names}
            assert len(names) == 2 * len(members[section])
        assert sum(map(len, members.values())) == 8
        assert members["training"] and members["validation"]
    assert "16 scans of 8 patients, told by their names" in caplog.text
    few = Datalist(tmp_path, "training", labels="ignored", num_labelled=4)
    assert len({item["name"][:5] for item in few}) == 2


def test_labelled_sets_take_one_patient_after_the_other():
    cases, patients = list("aabbccdd"), list("aabbccdd")
    four = labelled_subset(cases, 4, 3, patients)
    assert (
        four
        == [case for key in random.Random(3).sample([["a"] * 2, ["b"] * 2, ["c"] * 2, ["d"] * 2], 4) for case in key][
            :4
        ]
    )
    assert labelled_subset(cases, 3, 3, patients) == four[:3]
    with pytest.raises(ValueError, match="8 training cases"):
        labelled_subset(cases, 9, 3, patients)


def test_declared_sections_that_share_a_patient_are_named(tmp_path, write_nifti, image_array, caplog):
    import json

    names = [f"p{p}_ses{v}" for p in range(3) for v in (1, 2)]
    for i, name in enumerate(names):
        write_nifti(tmp_path / f"{name}.nii.gz", image_array(i))
    lists = {"training": names[:3], "validation": names[3:4], "test": names[4:]}
    content = {section: [f"{name}.nii.gz" for name in found] for section, found in lists.items()}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert [i["name"] for i in Datalist(tmp_path, "validation", labels="ignored")] == ["p1_ses2"]
    warnings = " ".join(record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert "1 patient(s), told by their names, are in training and in validation: p1" in warnings
    assert SECTIONS[2] not in warnings
