"""Files that are not what their names say: pointers, web pages, pipes, devices, and the root of the file system."""

import gzip
import json
import os
import signal
from pathlib import Path

import pytest
from data.nifti_files import nifti
from doctor.doctor_sets import good_set, text

from ssl3d.data import DataError, Datalist, check_item
from ssl3d.doctor.examine import examine
from ssl3d.files.stand_ins import stand_in
from ssl3d.files.walk import walk_files

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
ANNEX = b"/annex/objects/MD5E-s9--0.nii.gz\n"
POINTERS = {
    "Git LFS": (LFS, "git lfs pull"),
    "git-annex": (ANNEX, "datalad get"),
    "git-annex link as a text": (b"../../.git/annex/objects/Xx/Yy/MD5E-s9--0.nii.gz/MD5E-s9--0.nii.gz", "datalad get"),
    "page": (b"<!DOCTYPE html>\n<html><body>Please log in</body></html>", "Download"),
    "page with a mark": (b"\xef\xbb\xbf\r\n  <HTML lang=en>", "Download"),
    "answer of a store": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "Download"),
}


@pytest.fixture(autouse=True)
def never_hang():
    """A test that hangs fails after a while."""

    def stop(*_):
        raise TimeoutError("it hangs")

    former = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, former)


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii", "scan.NII.GZ"])
@pytest.mark.parametrize("kind", POINTERS)
def test_pointers_and_pages_are_told_by_their_first_bytes(tmp_path, kind, name):
    content, remedy = POINTERS[kind]
    (tmp_path / name).write_bytes(content)
    (fault,) = check_item({"image": str(tmp_path / name)})
    assert remedy in fault.remedy
    assert "gzip" not in str(fault)


@pytest.mark.parametrize("kind", POINTERS)
def test_pointers_instead_of_dicom_files_and_datalists(tmp_path, kind):
    content, remedy = POINTERS[kind]
    (tmp_path / "a.dcm").write_bytes(content)
    assert remedy in check_item({"image": str(tmp_path)})[0].problem
    folder = good_set(tmp_path / "set")
    (folder / "dataset.json").write_bytes(content)
    with pytest.raises(ValueError, match=remedy) as caught:
        Datalist(folder, "training")
    assert str(folder / "dataset.json") in str(caught.value)


def test_a_link_of_git_annex_without_its_content(tmp_path):
    for name in ("scan.nii.gz", "a.dcm"):
        (tmp_path / name).symlink_to("../.git/annex/objects/Xx/Yy/MD5E-s9--0/MD5E-s9--0")
    (fault,) = check_item({"image": str(tmp_path / "scan.nii.gz")})
    assert "datalad get" in fault.remedy
    assert "datalad get" in check_item({"image": str(tmp_path)})[0].problem


@pytest.mark.parametrize("data", [nifti(), gzip.compress(nifti()), b"", b"1 2 3", b"versions", b"<svg>"])
def test_other_files_are_no_stand_ins(data):
    assert stand_in(data) is None


@pytest.mark.parametrize("name", ["pipe.dcm", "pipe", "pipe.nii.gz"])
def test_a_pipe_never_hangs(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert list(walk_files(tmp_path)) == []
    with pytest.raises((FileNotFoundError, DataError)):
        Datalist(tmp_path, "all", labels="ignored")
    (fault,) = check_item({"image": str(tmp_path / name)})
    assert fault.fatal
    folder = good_set(tmp_path / "set")
    os.mkfifo(folder / "imagesTr" / name)
    if name.endswith(".nii.gz"):
        assert "pipe" in text(examine(folder), 200)
    else:
        assert examine(folder)["good"]


@pytest.mark.parametrize("place", ["/", "/dev/zero", "/dev", "/proc", "/dev/../"])
@pytest.mark.parametrize("key", ["image", "label"])
def test_roots_and_devices_never_hang(tmp_path, place, key):
    folder = good_set(tmp_path)
    entry = {"image": "imagesTr/case_0.nii.gz", key: place}
    (folder / "dataset.json").write_text(json.dumps({"training": [entry]}))
    with pytest.raises(DataError):
        Datalist(folder, "all", labels="optional")
    assert not examine(folder)["good"]


def test_a_device_or_pipe_for_a_list_never_hangs(tmp_path):
    folder = good_set(tmp_path)
    os.mkfifo(folder / "pipe.json")
    for file in ("pipe.json", "/dev/zero", "/"):
        with pytest.raises(ValueError, match="is not a file"):
            Datalist(folder, "training", datalist=file)


def test_links_to_folders_above_are_not_followed(tmp_path):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    (folder / "up").symlink_to(tmp_path)
    (folder / "root").symlink_to("/")
    (folder / "devices").symlink_to("/dev")
    assert list(walk_files(folder)) == [[folder / "file"]]
    assert list(walk_files(Path("/"))) == []
