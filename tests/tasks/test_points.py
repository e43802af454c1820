"""Points on disk: what is written is read again, Slicer's frames, bad files by name."""

import json

import pytest

from ssl3d.tasks.point_files import read_points, write_points

POINTS = {"liver top": (12.5, -30.25, 101.0), "Ätna, links": (-1e-3, 0.0, 7.0)}


@pytest.mark.parametrize("name", ["p.csv", "p.json", "p.mrk.json", "P.CSV"])
@pytest.mark.parametrize("scores", [None, {"liver top": 0.91}])
def test_what_is_written_is_read_again(tmp_path, name, scores):
    write_points(tmp_path / name, POINTS, scores)
    assert read_points(tmp_path / name) == POINTS
    assert ("0.91" in (tmp_path / name).read_text()) == bool(scores)


def markups(system, position, label="a", unit="mm"):
    control = {"id": "1", "label": label, "position": position}
    return json.dumps(
        {
            "markups": [
                {"type": "Fiducial", "coordinateSystem": system, "coordinateUnits": unit, "controlPoints": [control]}
            ]
        }
    )


@pytest.mark.parametrize(("system", "sign"), [("LPS", -1), ("1", -1), ("RAS", 1), ("0", 1), (0, 1)])
def test_slicer_frames(tmp_path, system, sign):
    file = tmp_path / "f.mrk.json"
    file.write_text(markups(system, [10.0, -20.0, 30.0]))
    assert read_points(file) == {"a": (sign * 10.0, sign * -20.0, 30.0)}


def test_slicer_files_are_written_in_lps(tmp_path):
    write_points(tmp_path / "f.mrk.json", {"a": (1.0, 2.0, 3.0)})
    (markup,) = json.loads((tmp_path / "f.mrk.json").read_text())["markups"]
    assert markup["coordinateSystem"] == "LPS" and markup["controlPoints"][0]["position"] == [-1.0, -2.0, 3.0]


def test_landmarks_of_synthetic_subjects_are_read(tmp_path):
    (tmp_path / "a.json").write_text('{"apex": {"world": [1, 2, 3], "voxel": [0, 0, 0], "label": 4}, "b": [4, 5, 6]}')
    assert read_points(tmp_path / "a.json") == {"apex": (1.0, 2.0, 3.0), "b": (4.0, 5.0, 6.0)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "name,x,y\nliver,1,2\n"),
        ("b.csv", "name,x,y,z\nliver,1,2,\n"),
        ("c.csv", "name,x,y,z\nliver,1,2,nan\n"),
        ("d.csv", "name,x,y,z\na,1,2,3\na,1,2,3\n"),
        ("e.json", "not json"),
        ("f.json", '{"a": [1, 2]}'),
        ("g.json", '{"a": [1, 2, 3], "a": [1, 2, 3]}'),
        ("h.json", "[1, 2, 3]"),
        ("i.mrk.json", "{}"),
        ("j.mrk.json", markups("XYZ", [1, 2, 3])),
        ("k.mrk.json", markups("LPS", [1, 2, 3], unit="inch")),
        ("l.mrk.json", markups("LPS", [1, 2])),
    ],
)
def test_a_bad_file_is_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=name):
        read_points(tmp_path / name)


def test_an_unknown_ending_and_an_absent_file_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"a\.pkl"):
        read_points(tmp_path / "a.pkl")
    with pytest.raises(ValueError, match=r"a\.txt"):
        write_points(tmp_path / "a.txt", POINTS)
    with pytest.raises(FileNotFoundError, match=r"absent\.csv"):
        read_points(tmp_path / "absent.csv")


@pytest.mark.parametrize("name", ["p.csv", "p.json"])
def test_voxels_are_kept_apart_from_world_coordinates(tmp_path, name):
    write_points(tmp_path / name, POINTS, {"liver top": 0.5}, "voxel")
    assert read_points(tmp_path / name, "voxel") == POINTS
    with pytest.raises(ValueError, match=r"x, y, z in mm"):
        read_points(tmp_path / name)


def test_of_landmarks_with_both_the_one_that_is_asked_for_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"apex": {"world": [1, 2, 3], "voxel": [7, 8, 9]}}')
    assert read_points(tmp_path / "a.json", "voxel") == {"apex": (7.0, 8.0, 9.0)}


def test_slicer_has_no_voxels_and_other_words_are_named(tmp_path):
    with pytest.raises(ValueError, match="are in mm"):
        write_points(tmp_path / "p.mrk.json", POINTS, coordinates="voxel")
    with pytest.raises(ValueError, match=r"world, voxel, got 'mm'"):
        read_points(tmp_path / "p.csv", "mm")


@pytest.mark.parametrize("status", ["undefined", "preview", "missing", None])
def test_points_of_slicer_that_were_never_placed_are_left_out_and_named(tmp_path, caplog, status):
    points = [
        {"id": "1", "label": "L1", "position": [20.0, 10.0, 5.0], "positionStatus": "defined"},
        {"id": "2", "label": "L2", "position": [0.0, 0.0, 0.0], "positionStatus": status},
        {"id": "3", "label": "L3", "positionStatus": status},
        {"id": "4", "label": "L4", "position": [1.0, 2.0, 3.0]},
        {"id": "5", "label": "L1", "position": [0.0, 0.0, 0.0], "positionStatus": status},
    ]
    markup = {"coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": points}
    (tmp_path / "f.mrk.json").write_text(json.dumps({"markups": [markup]}))
    assert read_points(tmp_path / "f.mrk.json") == {"L1": (-20.0, -10.0, 5.0), "L4": (-1.0, -2.0, 3.0)}
    assert f"left out: L2 ({status}), L3 ({status}), L1 ({status})" in caplog.text
