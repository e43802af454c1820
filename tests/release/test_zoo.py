"""A zoo over HTTP on this computer: what ssl3d and MONAI fetch from it, and what they refuse."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from monai.bundle import download as monai_download
from web_servers import faulty, running

from ssl3d import cli
from ssl3d.release import get, index, server
from ssl3d.release.packing.archive import digest, write_zip
from ssl3d.release.zoo.index import read_sums


def add_release(folder: Path, scratch: Path, name: str, version: str) -> Path:
    """A packed bundle of a few bytes and a weights file of 300 kB that no compression shortens."""
    root = scratch / version / name
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "configs" / "metadata.json").write_text(json.dumps({"version": version, "monai_version": "1.5.2"}))
    (root / "models" / "model.pt").write_bytes(b"".join(bytes([i * i % 251, i % 256]) for i in range(150_000)))
    file = folder / f"{name}_v{version}.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(root.rglob("*.*")):
            archive.write(path, path.relative_to(root.parent))
    return file


@pytest.fixture
def zoo(tmp_path) -> Path:
    folder = tmp_path / "zoo"
    folder.mkdir()
    for name, version in (
        ("toy_segmentation", "0.9.0"),
        ("toy_segmentation", "0.10.0"),
        ("other_pretraining", "0.1.0"),
    ):
        add_release(folder, tmp_path / "made", name, version)
    index(folder)
    return folder


@pytest.fixture
def url(zoo):
    with running(server(zoo, 0)) as address:
        yield address


@pytest.fixture
def interruptible():
    """A process started now obeys an interrupt, even where the tests run in the background of a shell."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


def test_the_index_names_every_release_with_its_hashes(zoo):
    sums = read_sums((zoo / "SHA256SUMS").read_text())
    assert [release.file for release in sums] == [
        "other_pretraining_v0.1.0.zip",
        "toy_segmentation_v0.9.0.zip",
        "toy_segmentation_v0.10.0.zip",
    ]
    assert all(digest(zoo / release.file) == sha256 for release, sha256 in sums.items())
    index(zoo, "https://example.org/zoo/")
    info = json.loads((zoo / "model_info.json").read_text())
    file = zoo / "toy_segmentation_v0.9.0.zip"
    assert info["toy_segmentation_v0.9.0"] == {
        "checksum": digest(file, "sha1"),
        "source": "https://example.org/zoo/toy_segmentation_v0.9.0.zip",
    }


def test_the_index_refuses_what_is_no_packed_bundle(zoo, tmp_path):
    shutil.copy(zoo / "toy_segmentation_v0.9.0.zip", zoo / "toy_segmentation_v1.0.0.zip")
    with pytest.raises(ValueError, match=r"v1\.0\.0\.zip holds version 0\.9\.0"):
        index(zoo)
    (tmp_path / "empty" / "none").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds no packed bundle"):
        index(tmp_path / "empty")
    write_zip(tmp_path / "empty", tmp_path / "empty" / "empty_v1.0.zip")
    with pytest.raises(ValueError, match="is no packed bundle"):
        index(tmp_path / "empty")


def test_monai_downloads_from_it(url, tmp_path):
    monai_download(
        name="toy_segmentation",
        version="0.10.0",
        bundle_dir=str(tmp_path),
        url=f"{url}/toy_segmentation_v0.10.0.zip",
        progress=False,
    )
    metadata = json.loads((tmp_path / "toy_segmentation" / "configs" / "metadata.json").read_text())
    assert metadata["version"] == "0.10.0"


@pytest.mark.parametrize(("version", "found"), [(None, "0.10.0"), ("0.9.0", "0.9.0")])
def test_get_takes_the_latest_version_or_the_one_asked_for(url, tmp_path, version, found):
    folder = get("toy_segmentation", tmp_path / "here", [url], version)
    assert folder == tmp_path / "here" / "toy_segmentation"
    assert json.loads((folder / "configs" / "metadata.json").read_text())["version"] == found
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["toy_segmentation"], "nothing else is left"


def test_a_folder_is_a_zoo_too(zoo, tmp_path):
    assert (get("other_pretraining", tmp_path / "here", [str(zoo)]) / "models" / "model.pt").is_file()


def test_unknown_names_and_versions_are_answered_with_those_that_there_are(url, tmp_path):
    with pytest.raises(ValueError, match=r"no bundle 'toy_segmentatoin'. Did you mean toy_segmentation\?"):
        get("toy_segmentatoin", tmp_path, [url])
    with pytest.raises(ValueError, match=r"no version 0\.8\.0 of toy_segmentation. There are: 0\.9\.0, 0\.10\.0"):
        get("toy_segmentation", tmp_path, [url], "0.8.0")


def test_an_earlier_version_is_kept_whole_beside_the_new_one(url, tmp_path):
    folder = get("toy_segmentation", tmp_path, [url], "0.9.0")
    (folder / "output").mkdir()
    (folder / "output" / "mine.csv").write_text("mine")
    (folder / "models" / "model.pt").write_text("my weights")
    assert get("toy_segmentation", tmp_path, [url], "0.9.0") == folder
    assert (folder / "models" / "model.pt").read_text() == "my weights", "the same version is not fetched again"

    get("toy_segmentation", tmp_path, [url])
    kept = tmp_path / "toy_segmentation_v0.9.0"
    assert (kept / "output" / "mine.csv").read_text() == "mine"
    assert (kept / "models" / "model.pt").read_text() == "my weights"
    assert not (folder / "output").exists()
    get("toy_segmentation", tmp_path, [url], "0.9.0")
    get("toy_segmentation", tmp_path, [url])
    assert (kept / "output" / "mine.csv").is_file() and (tmp_path / "toy_segmentation_v0.9.0_2").is_dir()


def test_a_later_version_unpacked_by_hand_over_an_earlier_one_is_a_mixture(zoo, url, tmp_path):
    """As docs/packing.md says: one's weights are gone, what the later version dropped stays, and nobody can tell."""
    with zipfile.ZipFile(zoo / "toy_segmentation_v0.9.0.zip", "a") as archive:
        archive.writestr("toy_segmentation/scripts/dropped.py", "")
    later = zoo / "toy_segmentation_v0.10.0.zip"
    folder = tmp_path / "toy_segmentation"
    for file in (zoo / "toy_segmentation_v0.9.0.zip", later):
        with zipfile.ZipFile(file) as archive:
            archive.extractall(tmp_path)
        if file != later:
            (folder / "models" / "model.pt").write_text("my weights")
    with zipfile.ZipFile(later) as archive:
        assert all((tmp_path / name).read_bytes() == archive.read(name) for name in archive.namelist())
    assert (folder / "scripts" / "dropped.py").is_file()
    assert get("toy_segmentation", tmp_path, [url]) == folder
    assert (folder / "scripts" / "dropped.py").is_file(), "taken for the later version"
    folder.rename(tmp_path / "away")
    get("toy_segmentation", tmp_path, [url])
    assert not (folder / "scripts").exists()


def test_a_folder_that_is_no_bundle_is_left_alone(url, tmp_path):
    (tmp_path / "toy_segmentation").mkdir()
    (tmp_path / "toy_segmentation" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and is no bundle"):
        get("toy_segmentation", tmp_path, [url])
    assert [path.name for path in (tmp_path / "toy_segmentation").iterdir()] == ["thesis.txt"]


def test_the_server_gives_the_rest_of_a_file(zoo, url):
    file = zoo / "toy_segmentation_v0.9.0.zip"
    size = file.stat().st_size
    with urlopen(Request(f"{url}/{file.name}", headers={"Range": "bytes=1000-"})) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 1000-{size - 1}/{size}"
        assert answer.read() == file.read_bytes()[1000:]
    with pytest.raises(HTTPError, match="416"):
        urlopen(Request(f"{url}/{file.name}", headers={"Range": f"bytes={size}-"}))
    with pytest.raises(HTTPError, match="404"):
        urlopen(f"{url}/../zoo.py")


def test_an_interrupted_download_goes_on_where_it_was(zoo, tmp_path):
    whole = (zoo / "toy_segmentation_v0.9.0.zip").read_bytes()
    cut = [100_000]

    def answer(path, start):
        if path.endswith("SHA256SUMS"):
            return 200, {}, (zoo / "SHA256SUMS").read_bytes()
        status = 206 if start else 200
        body = whole[start:]
        return status, {"Content-Length": str(len(body))}, body[: cut.pop()] if cut else body

    with faulty(answer) as (address, asked):
        with pytest.raises(OSError, match=rf"ended after 100000 of {len(whole)} bytes"):
            get("toy_segmentation", tmp_path, [address], "0.9.0")
        assert (tmp_path / "toy_segmentation_v0.9.0.zip.part").stat().st_size == 100_000
        assert not (tmp_path / "toy_segmentation").exists()
        get("toy_segmentation", tmp_path, [address], "0.9.0")
    assert [start for path, start in asked if path.endswith("zip")] == [0, 100_000]
    assert [path.name for path in tmp_path.glob("*toy*")] == ["toy_segmentation"]


def test_the_next_mirror_takes_over(zoo, url, tmp_path):
    whole = (zoo / "toy_segmentation_v0.9.0.zip").read_bytes()

    def answer(path, start):
        if path.endswith("SHA256SUMS"):
            return 200, {}, (zoo / "SHA256SUMS").read_bytes()
        return 200, {"Content-Length": str(len(whole))}, whole[:5000]

    with faulty(answer) as (address, _):
        folder = get("toy_segmentation", tmp_path, [address, url], "0.9.0")
    assert (folder / "models" / "model.pt").stat().st_size == 300_000


def test_a_wrong_hash_is_refused_before_anything_is_unpacked(zoo, url, tmp_path):
    (zoo / "toy_segmentation_v0.9.0.zip").write_bytes((zoo / "toy_segmentation_v0.10.0.zip").read_bytes())
    with pytest.raises(OSError, match=r"sha256 is [0-9a-f]{64}, and should be"):
        get("toy_segmentation", tmp_path / "here", [url], "0.9.0")
    assert list((tmp_path / "here").iterdir()) == []


def test_a_wrong_beginning_is_fetched_anew(zoo, url, tmp_path):
    (tmp_path / "toy_segmentation_v0.9.0.zip.part").write_bytes(b"something else")
    assert get("toy_segmentation", tmp_path, [url], "0.9.0").is_dir()
    (tmp_path / "other_pretraining_v0.1.0.zip.part").write_bytes(b"x" * 10**6)  # longer than the file: status 416
    assert get("other_pretraining", tmp_path, [url]).is_dir()


def test_a_zip_that_leaves_its_folder_is_refused(zoo, url, tmp_path):
    file = zoo / "toy_segmentation_v0.9.0.zip"
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("toy_segmentation/../../../escaped.txt", "escaped")
    sums = (zoo / "SHA256SUMS").read_text().splitlines()
    lines = [f"{digest(file)}  {file.name}" if line.endswith(file.name) else line for line in sums]
    (zoo / "SHA256SUMS").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="leaves the folder"):
        get("toy_segmentation", tmp_path / "a" / "b", [url], "0.9.0")
    assert not list(tmp_path.rglob("escaped.txt"))
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_without_a_zoo_the_reason_of_each_source_is_told(url, tmp_path):
    with pytest.raises(OSError, match=r"SHA256SUMS could not be read.*nothing: HTTP Error 404"):
        get("toy_segmentation", tmp_path, [f"{url}/nothing"])
    other_page = faulty(lambda path, start: (200, {}, b"<html>"))
    with other_page as (address, _), pytest.raises(ValueError, match="no line of SHA256SUMS"):
        get("toy_segmentation", tmp_path, [address])


def test_a_port_in_use_is_told(zoo):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"Cannot listen on port {port}: .*with --port"):
            server(zoo, port)
    for wrong in (70000, -1, "http", 8000.5):
        with pytest.raises(ValueError, match=f"between 0 and 65535, got {wrong!r}"):
            server(zoo, wrong)


def test_a_folder_without_index_is_not_served(tmp_path):
    with pytest.raises(ValueError, match="ssl3d zoo index"):
        server(tmp_path, 0)
    with pytest.raises(ValueError, match="There is no folder"):
        server(tmp_path / "absent", 0)


def test_a_server_in_a_session_of_its_own_ends_cleanly_by_ctrl_c(zoo, tmp_path, interruptible):
    """The command as a shell starts it; Ctrl+C is an interrupt to its process group."""
    command = [sys.executable, "-W", "ignore", "-m", "ssl3d.cli", "zoo", "serve", str(zoo), "--port", "0"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    try:
        line = process.stdout.readline()  # empty where the process ended
        address = re.fullmatch(r".*: (http://127\.0\.0\.1:\d+)  \(Ctrl\+C ends it\)\n", line)
        assert address, (tmp_path / "log").read_text()
        monai_download(
            name="toy_segmentation",
            bundle_dir=str(tmp_path),
            url=f"{address[1]}/toy_segmentation_v0.10.0.zip",
            progress=False,
        )
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, rest) == (0, "\n")
    assert (tmp_path / "toy_segmentation" / "models" / "model.pt").stat().st_size == 300_000
    requests = (tmp_path / "log").read_text().splitlines()
    assert requests and all(re.fullmatch(r'[\d:]{8} "GET /\S+ HTTP/1\.1" 200 -', line) for line in requests)


@pytest.mark.parametrize("form", ["--from {}", "--from={}", ""])
def test_the_command_line_takes_the_zoo_from_the_option_or_the_variable(form, zoo, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SSL3D_ZOO", "" if form else f"{zoo}/nothing,{zoo}")
    words = ["zoo", "get", "toy_segmentation", "--version", "0.9.0", *form.format(zoo).split()]
    monkeypatch.setattr(sys, "argv", ["ssl3d", *words, "--output_dir", str(tmp_path / "here")])
    cli.main()
    assert capsys.readouterr().out == f"{tmp_path / 'here' / 'toy_segmentation'}\n"
    assert (tmp_path / "here" / "toy_segmentation" / "models").is_dir()


def test_the_command_line_asks_for_the_zoo(monkeypatch, capsys):
    monkeypatch.delenv("SSL3D_ZOO", raising=False)
    monkeypatch.setattr(sys, "argv", ["ssl3d", "zoo", "get", "toy_segmentation"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "Give --from URL (or a folder), or set the variable SSL3D_ZOO" in capsys.readouterr().err
