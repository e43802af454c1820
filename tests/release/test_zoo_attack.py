"""A zoo under attack: hostile indices, archives and metadata are refused, and every request gets an answer."""

import json
import socket
import threading
import zipfile
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from web_servers import faulty, running

from ssl3d.release import get, index, server
from ssl3d.release.packing import archive
from ssl3d.release.packing.archive import check_zip, digest
from ssl3d.release.zoo import download
from ssl3d.release.zoo.get import version_of

NAME = "toy_segmentation"
FILE = f"{NAME}_v0.1.0.zip"


def pack(folder: Path, metadata: str = '{"version": "0.1.0"}', **files: bytes) -> Path:
    """A zoo of one bundle, whatever it holds, whose hash is right."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / FILE
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(f"{NAME}/configs/metadata.json", metadata)
        for name, content in files.items():
            packed.writestr(f"{NAME}/{name}", content)
    (folder / "SHA256SUMS").write_text(f"{digest(file)}  {FILE}\n")
    return file


BAD_METADATA = {
    "a list": "[]",
    "a number": "7",
    "null": "null",
    "no version": "{}",
    "another type": '{"version": 1}',
    "no JSON": "{",
    "too deep": "[" * 100_000,
}


@pytest.mark.parametrize("metadata", BAD_METADATA.values(), ids=BAD_METADATA)
def test_metadata_that_is_no_object_with_a_version_is_named(metadata, tmp_path):
    pack(tmp_path / "zoo", metadata)
    with pytest.raises(ValueError, match=r"metadata\.json (must be a JSON object|is not valid JSON)"):
        index(tmp_path / "zoo")
    with pytest.raises(ValueError, match=r"metadata\.json (must be a JSON object|is not valid JSON)"):
        get(NAME, tmp_path / "here", [str(tmp_path / "zoo")])
    assert list((tmp_path / "here").iterdir()) == [], "nothing of it is left"
    folder = tmp_path / "here" / NAME / "configs"
    folder.mkdir(parents=True)
    (folder / "metadata.json").write_text(metadata)
    with pytest.raises(ValueError, match=rf"{NAME} exists and is no bundle .*metadata\.json"):
        version_of(folder.parent)


def test_a_bundle_of_another_version_than_its_name_is_refused(tmp_path):
    pack(tmp_path / "zoo", '{"version": "0.2.0"}')
    with pytest.raises(ValueError, match=r"v0\.1\.0\.zip holds version 0\.2\.0"):
        get(NAME, tmp_path / "here", [str(tmp_path / "zoo")])


@pytest.mark.parametrize("bomb", ["one file", "many files", "dense"])
def test_a_bomb_whose_hash_is_right_is_refused_before_it_is_unpacked(bomb, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST", 10**6 if bomb == "one file" else 10**9)
    monkeypatch.setattr(archive, "MOST_FILES", 20)
    monkeypatch.setattr(archive, "LEAST_SUSPECT", 10**6)
    files = {f"{number}": b"" for number in range(30)} if bomb == "many files" else {"models": bytes(2 * 10**6)}
    file = pack(tmp_path / "zoo", **files)
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda self: pytest.fail("the bomb is read"))
    with pytest.raises(ValueError, match=r"would unpack to \d+ files with \d+ MiB.*not unpacked"):
        check_zip(file, NAME)
    with pytest.raises(ValueError, match="not unpacked"):
        get(NAME, tmp_path / "here", [str(tmp_path / "zoo")])
    assert list((tmp_path / "here").iterdir()) == []


def test_encrypted_entries_are_refused(tmp_path):
    file = pack(tmp_path)
    content = bytearray(file.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="no zip file, or a damaged one"):
        check_zip(file, NAME)


def test_an_index_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "LONGEST_TEXT", 10_000)
    with (
        faulty(lambda path, start: (200, {}, b"a" * 64 + b"  " + b"b" * 10**6)) as (address, _),
        pytest.raises(OSError, match="longer than 10000 bytes"),
    ):
        get(NAME, tmp_path, [address])
    (tmp_path / "SHA256SUMS").write_bytes(b"a" * 20_000)
    with pytest.raises(OSError, match="longer than 10000 bytes"):
        get(NAME, tmp_path, [str(tmp_path)])


@pytest.mark.parametrize("header", ["10", "-5", "many", "9" * 5000, str(10**14), None])
def test_a_bundle_without_end_or_with_an_odd_length_is_refused(header, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 100_000)
    pack(tmp_path / "zoo")

    def answer(path, start):
        if path.endswith("SHA256SUMS"):
            return 200, {}, (tmp_path / "zoo" / "SHA256SUMS").read_bytes()
        return 200, {} if header is None else {"Content-Length": header}, b"x" * 10**6

    with faulty(answer) as (address, _), pytest.raises(OSError, match=r"could not be downloaded"):
        get(NAME, tmp_path / "here", [address])
    assert sum(file.stat().st_size for file in (tmp_path / "here").iterdir()) <= 100_000


@pytest.mark.parametrize("version", ["1" * 5000, "1." * 50 + "1"])
def test_versions_without_end_are_no_releases(version):
    assert archive.release_of(f"{NAME}_v{version}.zip") is None


@pytest.fixture
def zoo(tmp_path):
    """Address of a served zoo, and its one file."""
    file = pack(tmp_path / "zoo", models=bytes(range(256)) * 40)
    with running(server(tmp_path / "zoo", 0)) as address:
        yield address, file


def ask(address: str, request: bytes) -> bytes:
    """The first line of the answer to these bytes."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").readline()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("", 400),
        ("GARBAGE", 400),
        ("GET", 400),
        ("GET / HTTP/x.y", 400),
        ("GET / HTTP/9.9", 505),
        ("POST / HTTP/1.1", 501),
        ("\x16\x03\x01\x02", 400),
        ("GET /%00 HTTP/1.1", 404),
        ("GET /%ED%A0%80 HTTP/1.1", 404),
        ("GET /" + "a" * 5000 + " HTTP/1.1", 404),
        ("GET /" + "a" * 70_000 + " HTTP/1.1", 414),
        ("GET /../../etc/passwd HTTP/1.1", 404),
        ("GET /SHA256SUMS", 200),
        ("GET /SHA256SUMS HTTP/1.0\r\nRange: " + "9" * 70_000, 431),
        ("HEAD /SHA256SUMS HTTP/1.1", 200),
    ],
)
@pytest.mark.parametrize("ranged", ["", "\r\nRange: bytes=3-"])
def test_odd_request_lines_are_answered(line, status, ranged, zoo):
    expected = 206 if status == 200 and ranged else status
    answer = ask(zoo[0], f"{line}{ranged}\r\n\r\n".encode("latin-1"))
    assert answer.startswith(b"HTTP/1.") and answer.split()[1] == str(expected).encode()


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=10-19", 206, slice(10, 20)),
        ("bytes=0-0", 206, slice(0, 1)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=-" + "9" * 5000, 206, slice(None)),
        ("bytes=5-" + "9" * 5000, 206, slice(5, None)),
        ("bytes=" + "9" * 5000 + "-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=9-3", 200, slice(None)),
        ("bytes=-", 200, slice(None)),
        ("bytes=0-1,5-6", 200, slice(None)),
        ("lines=1-2", 200, slice(None)),
        ("nonsense", 200, slice(None)),
    ],
)
def test_ranges_are_answered(asked, status, part, zoo):
    address, file = zoo
    request = Request(f"{address}/{file.name}", headers={"Range": asked})
    if part is None:
        line = ask(address, f"GET /{file.name} HTTP/1.1\r\nRange: {asked}\r\n\r\n".encode())
        assert line.split()[1] == b"416"
        return
    with urlopen(request) as answer:
        assert answer.status == status and answer.read() == file.read_bytes()[part]


def test_many_clients_at_once_are_all_answered(zoo):
    address, file = zoo
    host, port = address.removeprefix("http://").split(":")
    connections = [socket.create_connection((host, int(port)), timeout=20) for _ in range(60)]
    answers = []

    def read(connection):
        connection.sendall(f"GET /{file.name} HTTP/1.0\r\n\r\n".encode())
        answers.append(connection.makefile("rb").read())
        connection.close()

    threads = [threading.Thread(target=read, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 60
    assert all(answer.endswith(file.read_bytes()) for answer in answers)


def test_the_queue_holds_a_crowd():
    assert server.__globals__["Server"].request_queue_size >= 128


def test_a_right_bundle_is_taken(tmp_path):
    pack(tmp_path / "zoo")
    index(tmp_path / "zoo")
    folder = get(NAME, tmp_path / "here", [str(tmp_path / "zoo")])
    assert json.loads((folder / "configs" / "metadata.json").read_text()) == {"version": "0.1.0"}
