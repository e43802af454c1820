"""JSON that people wrote: encodings of Windows, and whatever is wrong names the file."""

import json

import pytest
from doctor.doctor_sets import good_set

from ssl3d.data import Datalist, PairList
from ssl3d.data.sources import licence_of
from ssl3d.files.texts import read_json, read_text
from ssl3d.tasks.point_files import read_points
from ssl3d.weights import passport

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
BAD = {
    "not JSON": b"{'training': []}",
    "a list": b"[1, 2]",
    "a number": b"3",
    "null": b"null",
    "too deep": b"[" * 200_000,
    "too deep and closed": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "an endless number": b'{"training": ' + b"9" * 10_000 + b"}",
    "binary": bytes(range(256)) * 4,
    "Latin-1": '{"name": "Müller"}'.encode("latin-1"),
    "empty": b"",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encodings_of_windows(tmp_path, encoding):
    file = tmp_path / "a.json"
    file.write_bytes(json.dumps({"name": "Größe 患者"}, ensure_ascii=False).encode(encoding))
    assert read_json(file) == {"name": "Größe 患者"}
    folder = good_set(tmp_path / "set")
    entries = [{"image": f"imagesTr/case_{i}.nii.gz", "label": f"labelsTr/case_{i}.nii.gz"} for i in range(6)]
    (folder / "dataset.json").write_bytes(json.dumps({"name": "A", "training": entries}).encode(encoding))
    assert len(Datalist(folder, "all")) == 6
    pairs = [{"fixed": entries[0]["image"], "moving": entries[1]["image"]}]
    (folder / "pairs.json").write_bytes(json.dumps({"test": pairs}).encode(encoding))
    assert len(PairList(folder, "test", datalist="pairs.json")) == 1
    (tmp_path / "points.json").write_bytes(json.dumps({"a": [1, 2, 3]}).encode(encoding))
    assert read_points(tmp_path / "points.json") == {"a": (1, 2, 3)}
    (tmp_path / "points.csv").write_bytes("name,x,y,z\na,1,2,3\n".encode(encoding))
    assert read_points(tmp_path / "points.csv") == {"a": (1, 2, 3)}


@pytest.mark.parametrize("name", BAD)
def test_whatever_is_wrong_names_the_file(tmp_path, name):
    file = tmp_path / "dataset.json"
    file.write_bytes(BAD[name])
    readers = [read_json, passport.read, lambda file: Datalist(file.parent, "all"), read_points]
    readers += [lambda file: PairList(file.parent, "all")]
    for reader in readers:
        with pytest.raises(ValueError, match=r"dataset\.json") as caught:
            reader(file)
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "content",
    [
        {"training": 5},
        {"training": "all"},
        {"training": {"image": "a.nii.gz"}},
        {"training": [5]},
        {"training": [{"label": "a.nii.gz"}]},
        {"training": [{"image": {"a": 1}}]},
        {"training": [[[["a.nii.gz"]]]]},
    ],
)
def test_a_list_of_another_type_names_the_file(tmp_path, content):
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"dataset\.json"):
        Datalist(tmp_path, "all")


def test_an_entry_that_is_nested_deep_names_the_file(tmp_path):
    nested = "[" * 400 + "1" + "]" * 400
    (tmp_path / "dataset.json").write_text('{"training": [{"image": "a.nii.gz", "more": ' + nested + "}]}")
    with pytest.raises(ValueError):  # whether the depth or the missing file is met first
        Datalist(tmp_path, "all")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "dataset.json").open("wb") as stream:
        stream.truncate(1 << 34)  # sparse
    with pytest.raises(ValueError, match=r"dataset\.json is too large"):
        Datalist(tmp_path, "all")


def test_a_file_that_does_not_exist_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("content", "licence"),
    [
        ({"licence": " "}, "unknown"),
        ({"licence": "", "license": "CC0-1.0"}, "CC0-1.0"),
        ({"licence": None}, "unknown"),
        ({"licence": "  MIT "}, "MIT"),
        ({}, "unknown"),
    ],
)
def test_a_blank_licence_is_unknown(tmp_path, content, licence):
    assert licence_of(content) == licence
    folder = good_set(tmp_path)
    (folder / "dataset.json").write_text(json.dumps(content | {"name": " "}))
    (corpus,) = Datalist(folder, "training").corpus
    assert corpus == {"name": "unnamed", "count": len(Datalist(folder, "training")), "licence": licence}
