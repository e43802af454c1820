"""Zip files: equal contents give equal bytes, and nothing is ever written outside of a bundle's own folder."""

import os
import stat
import zipfile

import pytest

from ssl3d.release.packing.archive import Release, check_zip, digest, release_of, rewrite_zip, unpack_zip, write_zip


@pytest.fixture
def folder(tmp_path):
    """``folder(place)``: the same small bundle, with times and modes of its own."""

    def make(place: str, time: int, mode: int):
        root = tmp_path / place / "toy"
        for name in ("b.txt", "a/c.txt", "a/b.bin"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(name.encode() * 1000)
            os.utime(root / name, (time, time))
            (root / name).chmod(mode)
        return root

    return make


def test_equal_contents_give_equal_bytes(folder, tmp_path):
    write_zip(folder("one", 10**9, 0o600), tmp_path / "1.zip")
    write_zip(folder("two", 1.5 * 10**9, 0o755), tmp_path / "2.zip")
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert archive.namelist() == ["toy/a/b.bin", "toy/a/c.txt", "toy/b.txt"]
    unpacked = unpack_zip(tmp_path / "1.zip", "toy", tmp_path / "out")
    assert (unpacked / "a" / "c.txt").read_bytes() == b"a/c.txt" * 1000
    assert stat.S_IMODE((unpacked / "b.txt").stat().st_mode) & 0o400


@pytest.mark.parametrize(
    "entry", ["../toy/x", "toy/../../x", "/toy/x", "other/x", "toy/..\\..\\x", "toy//x", "C:/x", "toy/c:x", "toyx"]
)
def test_entries_that_leave_the_folder_are_refused(entry, tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("toy/good", "good")
        archive.writestr(entry, "bad")
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match=r"leaves the folder toy"):
        unpack_zip(tmp_path / "bad.zip", "toy", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_links_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        entry = zipfile.ZipInfo("toy/link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc")
    with pytest.raises(ValueError, match=r"'toy/link' is no plain file"):
        check_zip(tmp_path / "bad.zip", "toy")


def test_damage_is_found(folder, tmp_path):
    file = tmp_path / "1.zip"
    write_zip(folder("one", 10**9, 0o600), file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    with pytest.raises(ValueError, match=r"damaged one"):
        check_zip(file, "toy")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("toy/a", b"x" * 1000)
    file.write_bytes(file.read_bytes().replace(b"xxxx", b"xyxx", 1))
    with pytest.raises(ValueError, match=r"'toy/a' is damaged"):
        check_zip(file, "toy")


def test_rewriting_leaves_out_what_is_not_kept(folder, tmp_path):
    write_zip(folder("one", 10**9, 0o600), tmp_path / "1.zip")
    rewrite_zip(tmp_path / "1.zip", lambda name: not name.endswith(".bin"))
    with zipfile.ZipFile(tmp_path / "1.zip") as archive:
        assert archive.namelist() == ["toy/a/c.txt", "toy/b.txt"]
        assert archive.read("toy/b.txt") == b"b.txt" * 1000


@pytest.mark.parametrize(
    ("file", "release"),
    [
        ("toy_v0.1.0.zip", Release("toy", "0.1.0")),
        ("a_b_v10.2.zip", Release("a_b", "10.2")),
        ("toy.zip", None),
        ("toy_v0.1.0.zip.part", None),
        ("toy_vx.zip", None),
        ("../toy_v0.1.0.zip", None),
    ],
)
def test_names_of_files(file, release):
    assert release_of(file) == release
    assert release is None or release.file == file


def test_versions_sort_by_number():
    assert Release("toy", "0.10.0").order > Release("toy", "0.9.0").order


def test_digests(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest(tmp_path / "a", "sha1") == "a9993e364706816aba3e25717850c26c9cd0d89d"
