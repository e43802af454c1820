"""When four digits at the end of a name are a channel, and when they are part of the name."""

import json
from pathlib import Path

import pytest

from ssl3d.data import Datalist
from ssl3d.data.channels import group_channels


def cases(names, labels=(), declared=None, expected=None):
    found = group_channels({name: Path(f"{name}.nii.gz") for name in names}, labels, declared, expected)
    return {name: [file.name[-11:-7] if len(files) > 1 else "" for file in files] for name, files in found.items()}


def whole(names):
    return {name: [""] for name in names}


def numbered(name, *numbers):
    return [f"{name}_{number:04d}" for number in numbers]


@pytest.mark.parametrize(
    "names",
    [
        numbered("word", 2, 3, 4, 5),
        numbered("word", 0, 1, 2, 3, 4, 5),
        numbered("word", 7),
        ["sub0_2019", "sub0_2021", "sub1_2019", "sub1_2021"],
        [*numbered("a", 0, 1), *numbered("b", 0)],
        [*numbered("a", 0, 2), *numbered("b", 0, 2)],
        [*numbered("a", 0, 1), "b"],
        [*numbered("a", 1), *numbered("b", 1)],
    ],
)
def test_digits_of_a_name(names):
    assert cases(names) == whole(names)


def test_channels_of_nnunet():
    two = [*numbered("a", 0, 1), *numbered("b", 0, 1)]
    assert cases(two) == cases(two, declared=2) == {"a": ["0000", "0001"], "b": ["0000", "0001"]}
    assert cases(two, labels=two) == whole(two), "the label maps have the digits too"
    assert cases(numbered("a", 0)) == {"a": [""]}
    assert cases([*numbered("a", 0), *numbered("b", 0)]) == whole(["a", "b"])
    assert cases(numbered("a", 0, 1), expected=2) == {"a": ["0000", "0001"]}
    assert cases(numbered("a", 0, 1), expected=1) == whole(numbered("a", 0, 1))
    assert cases(numbered("a", 0, 1, 2), labels=["a"]) == {"a": ["0000", "0001", "0002"]}


def test_what_the_data_set_declares():
    uneven = [*numbered("a", 0, 1), *numbered("b", 0)]
    assert cases(uneven, declared=2) == {"a": ["0000", "0001"], "b": [""]}, (
        "a channel that lacks is found by the checks"
    )
    assert cases(uneven, labels=["a", "b"]) == {"a": ["0000", "0001"], "b": [""]}
    scans = numbered("amos", 0, 1, 2)
    assert cases(scans, declared=1) == whole(scans)
    assert cases(scans, declared=3) == {"amos": ["0000", "0001", "0002"]}


def test_names_of_a_folder(tmp_path, write_nifti, image_array, caplog):
    for i in range(2, 8):
        write_nifti(tmp_path / "set" / f"word_{i:04d}.nii.gz", image_array(i))
    write_nifti(tmp_path / "one" / "word_0001.nii.gz", image_array(1))
    write_nifti(tmp_path / "another" / "word_0002.nii.gz", image_array(2))
    assert len(Datalist(tmp_path / "set", "training", labels="ignored")) == 4
    lone = [Datalist(tmp_path / place, "all", labels="ignored")[0]["name"] for place in ("one", "another")]
    assert lone == ["word_0001", "word_0002"], "results in one folder do not replace each other"
    for place in ("imagesTr", "imagesTs"):
        for name in ("a", "b"):
            for channel in (0, 1):
                write_nifti(tmp_path / "two" / place / f"{name}_000{channel}.nii.gz", image_array(channel))
    with caplog.at_level("INFO"):
        names = [item["name"] for item in Datalist(tmp_path / "two", "all", labels="ignored", channels=2)]
    assert names == ["imagesTr_a", "imagesTr_b", "imagesTs_a", "imagesTs_b"]
    assert "4 files, 2 cases, for example a (a_0000.nii.gz, a_0001.nii.gz)" in caplog.text
    write_nifti(tmp_path / "three" / "imagesTr" / "a_0000.nii.gz", image_array(3))
    (tmp_path / "three" / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "CT"}, "file_ending": ".nii.gz"})
    )
    assert Datalist(tmp_path / "three", "all", labels="ignored")[0]["name"] == "a"
