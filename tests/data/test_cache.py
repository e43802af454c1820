"""The cache of prepared items: keys, damage, atomic writing, what items hold."""

import io
import os
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    CropForegroundd,
    EnsureChannelFirstd,
    Lambdad,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    RandGaussianNoised,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentilesd,
    SpatialPadd,
)

from ssl3d.data import PreparedDataset, cache_dir, content_key, validate
from ssl3d.data import cache as cache_module
from ssl3d.data.describe import describe
from ssl3d.transforms import SafeSpacingd


def deterministic(pixdim=(1.0, 1.0, 1.0), upper=99.0):
    return [
        LoadImaged("image"),
        EnsureChannelFirstd("image"),
        Orientationd("image", "RAS", labels=None),
        SafeSpacingd("image", pixdim),
        ScaleIntensityRangePercentilesd("image", 1.0, upper, 0.0, 1.0, clip=True),
    ]


def noise():
    return [RandGaussianNoised("image", prob=1.0)]


@pytest.fixture
def items(tmp_path, write_nifti, image_array):
    paths = [write_nifti(tmp_path / "data" / f"case_{i}.nii.gz", image_array(i)) for i in range(3)]
    return [{"image": str(path), "name": path.name, "group": "set", "synthetic": True} for path in paths]


def cached(dataset) -> list[Path]:
    return sorted(dataset.cache_dir.glob("*.pt"))


def saved(value) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def huge() -> bytes:
    """A file that claims a tensor of 2 PB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved({"image": torch.zeros(300)}))) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"M,\x01", b"\x8a\x07" + (1 << 49).to_bytes(7, "little")))
    return buffer.getvalue()


def test_items_are_equal_from_the_cache_and_not_and_plain(items):
    dataset = PreparedDataset(items, deterministic())
    first = dataset[0]
    assert len(cached(dataset)) == 1
    again = PreparedDataset(items, deterministic())[0]
    for item in (first, again):
        assert {key: item[key] for key in ("name", "group", "synthetic")} == {
            "name": "case_0.nii.gz",
            "group": "set",
            "synthetic": True,
        }
        assert type(item["image"]) is torch.Tensor
        assert not isinstance(item["image"], MetaTensor)
    assert torch.equal(first["image"], again["image"])
    assert first["image"].is_contiguous() and again["image"].stride() == first["image"].stride()


def test_transforms_run_once_even_when_nested(items, monkeypatch):
    loads = []
    load = LoadImaged.__call__
    monkeypatch.setattr(LoadImaged, "__call__", lambda self, data, *a: loads.append(1) or load(self, data, *a))
    nested = Compose([Compose(deterministic()), Compose(noise())])
    first = PreparedDataset(items, nested)[0]["image"]
    second = PreparedDataset(items, Compose(deterministic() + noise()))[0]["image"]
    assert len(loads) == 1
    assert not torch.equal(first, second)  # the noise is not cached


def test_a_crop_is_saved_at_its_own_size(tmp_path, write_nifti):
    array = np.zeros((40, 40, 40), np.float32)
    array[3:6, 3:6, 3:6] = 1.0
    path = write_nifti(tmp_path / "small.nii.gz", array)
    crop = CropForegroundd("image", source_key="image", allow_smaller=True)
    dataset = PreparedDataset([{"image": str(path)}], [*deterministic()[:2], crop])
    assert dataset[0]["image"].shape == (1, 3, 3, 3)
    assert cached(dataset)[0].stat().st_size < 4000


@pytest.mark.parametrize(
    "other",
    [
        deterministic(pixdim=(1.0, 1.0, 2.0)),
        deterministic(upper=99.5),
        deterministic()[:-1],
        [*deterministic(), SpatialPadd("image", (16, 16, 16))],
        [*deterministic(), NormalizeIntensityd("image", nonzero=True)],
    ],
)
def test_a_changed_setting_is_another_folder(items, other):
    folder = PreparedDataset(items, deterministic()).cache_dir
    assert PreparedDataset(items, deterministic()).cache_dir == folder
    assert PreparedDataset(items, other).cache_dir != folder
    assert PreparedDataset(items, deterministic() + noise()).cache_dir == folder  # random ones are not cached


@pytest.mark.parametrize("size", [(12, 12, 12), (12, 12, 16)])
def test_a_changed_roi_or_window_changes_the_description(size):
    assert (describe(SpatialPadd("image", size)) == describe(SpatialPadd("image", (12, 12, 12)))) is (
        size == (12, 12, 12)
    )
    windows = [describe(ScaleIntensityRanged("image", low, 250, 0, 1, clip=True)) for low in (-175, -125)]
    assert windows[0] != windows[1]


def test_content_is_the_key(items, tmp_path, write_nifti, image_array):
    dataset = PreparedDataset(items, deterministic())
    first = dataset[0]["image"]
    moved = tmp_path / "elsewhere"
    (tmp_path / "data").rename(moved)
    there = [{**item, "image": str(moved / item["name"])} for item in items]
    assert torch.equal(PreparedDataset(there, deterministic())[0]["image"], first)
    assert len(cached(dataset)) == 1
    write_nifti(moved / "case_0.nii.gz", image_array(77))
    assert not torch.equal(PreparedDataset(there, deterministic())[0]["image"], first)
    assert len(cached(dataset)) == 2
    assert PreparedDataset([{**there[0], "group": "other"}], deterministic())[0]["group"] == "other"


def test_set_data_deletes_nothing(items):
    dataset = PreparedDataset(items, deterministic())
    dataset[0]
    dataset.set_data(items[1:])
    assert dataset[0]["name"] == "case_1.nii.gz"
    assert len(cached(dataset)) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-10],
        lambda data: data[:3],
        lambda data: b"",
        lambda data: b"garbage" * 100,
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
        lambda data: saved([1, 2, 3]),
        lambda data: saved(torch.zeros(3)),
        lambda data: huge(),
        lambda data: bytes(len(data)),
    ],
)
def test_a_damaged_cache_file_is_made_again(items, damage, caplog):
    dataset = PreparedDataset(items, deterministic())
    expected = dataset[0]["image"]
    (file,) = cached(dataset)
    good = file.read_bytes()
    file.write_bytes(damage(good))
    assert torch.equal(dataset[0]["image"], expected)
    assert f"Damaged cache file {file}" in caplog.text
    assert file.read_bytes() == good


def test_a_pickle_is_not_executed(items, tmp_path):
    dataset = PreparedDataset(items, deterministic())
    expected = dataset[0]["image"]
    (file,) = cached(dataset)

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    torch.save({"image": Evil()}, file)
    assert torch.equal(dataset[0]["image"], expected)
    assert not (tmp_path / "executed").exists()


def test_killed_while_writing_leaves_no_half_file(items, monkeypatch):
    dataset = PreparedDataset(items, deterministic())

    def killed(obj, stream):
        stream.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache_module.torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            dataset[0]
    assert cached(dataset) == []
    assert dataset[0]["image"].shape == (1, 6, 7, 8)
    assert sorted(p.suffix for p in dataset.cache_dir.iterdir()) == [".json", ".pt"]


def test_a_full_disk_is_no_error_and_said_once(items, monkeypatch, caplog):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module.os, "fsync", full)
    dataset = PreparedDataset(items, deterministic())
    for _ in range(3):
        assert dataset[0]["image"].shape == (1, 6, 7, 8)
    assert caplog.text.count("No space left") == 1
    assert list(dataset.folder.iterdir()) == []


def test_a_disk_so_full_that_no_folder_can_be_made_is_no_error(items, tmp_path, caplog):
    (tmp_path / "cache" / "content").mkdir(parents=True)
    (tmp_path / "cache" / "prepared").write_text("in the place of the folder")
    assert PreparedDataset(items, deterministic(), tmp_path / "cache")[0]["image"].shape == (1, 6, 7, 8)
    assert "Cannot write the cache" in caplog.text


def test_what_is_written_to_a_full_disk_raises_an_oserror():
    """``torch.save`` to such a file raises a RuntimeError, which ended trainings."""
    content = cache_module._saved({"image": torch.zeros(1 << 18)})
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb", buffering=0) as stream:
        stream.write(content)


@pytest.mark.parametrize("content", [b"", b"[", b"[" * 100_000, b"\xff\xfe", b"3", b'{"a": 1}', b"[[1, 2]]", b"[null]"])
def test_damaged_notes_are_as_good_as_none(items, content):
    """What validation and content keys keep may be damaged in any way."""
    good, _ = validate(items)
    for folder in ("validated", "content", "scans"):
        for file in (cache_dir() / folder).rglob("*.json"):
            file.write_bytes(content)
    assert validate(items)[0] == good
    assert PreparedDataset(items, deterministic())[0]["image"].shape == (1, 6, 7, 8)


def test_notes_that_cannot_be_kept_are_no_error(items, tmp_path):
    for folder in ("validated", "content", "scans"):
        (tmp_path / "cache" / folder).parent.mkdir(exist_ok=True)
        (tmp_path / "cache" / folder).write_text("in the place of the folder")
    assert validate(items, cache_dir=tmp_path / "cache")[0] == items
    assert PreparedDataset(items, deterministic(), tmp_path / "cache")[0]["image"].shape == (1, 6, 7, 8)


def test_what_torch_and_numpy_say_of_damage_is_not_passed_on(items, tmp_path, caplog):
    dataset = PreparedDataset(items, deterministic())
    dataset[0]
    (file,) = cached(dataset)
    torch.save({"image": Path("an object")}, file)
    dataset[0]
    assert "Damaged" in caplog.text
    assert "weights_only" not in caplog.text


KEY_PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from test_cache import deterministic, extra
from ssl3d.data import PreparedDataset
dataset = PreparedDataset([{item!r}], deterministic() + extra())
dataset[0]
print(dataset.cache_dir.name, *(file.name for file in dataset.cache_dir.glob("*.pt")))
"""


def extra():
    """Transforms whose description could differ between processes: sets, functions, partial functions."""
    return [
        Lambdad("image", func=partial(torch.clamp, min=0.0)),
        Lambdad("image", func=lambda x, names=frozenset({"a", "b", "c"}): x * len(names)),
    ]


def test_another_process_has_the_same_key(items):
    here = PreparedDataset(items, deterministic() + extra())
    here[0]
    (file,) = cached(here)
    program = KEY_PROGRAM.format(tests=str(Path(__file__).parent), item=items[0])
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    there = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
    )
    assert there.returncode == 0, there.stderr
    assert there.stdout.strip() == f"{here.cache_dir.name} {file.name}"
    assert cached(here) == [file]


class Settings:
    def __init__(self, value):
        self.value = value
        self.R = np.random.RandomState()


def test_descriptions():
    assert describe(Settings(1)) == describe(Settings(1))
    assert describe(Settings(1)) != describe(Settings(2))
    assert describe(Settings(np.zeros(3))) != describe(Settings(np.zeros(4)))
    assert describe(lambda x: x > 0) == describe(lambda x: x > 0)
    assert describe(lambda x: x > 0) != describe(lambda x: x > 1)
    looped = Settings(None)
    looped.value = [looped]
    assert "(itself)" in str(describe(looped))
    with pytest.raises(TypeError, match="no stable description"):
        describe(object())
    packed = type("SafeSpacingd", (Settings,), {"__module__": "scripts.ssl3d.transforms.spatial"})
    assert list(describe(packed(1))) == ["transforms.spatial.SafeSpacingd"]
    assert list(describe(SafeSpacingd("image", 1.0))) == ["transforms.spatial.SafeSpacingd"]


def test_settings_are_written_out(items):
    text = (PreparedDataset(items, deterministic(upper=97.25)).cache_dir / "settings.json").read_text()
    assert "97.25" in text
    assert "ScaleIntensityRangePercentilesd" in text


def test_cache_dir(tmp_path, monkeypatch):
    assert cache_dir(tmp_path / "a") == tmp_path / "a"
    monkeypatch.setenv("SSL3D_CACHE", str(tmp_path / "b"))
    assert cache_dir() == tmp_path / "b"
    monkeypatch.delenv("SSL3D_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "ssl3d"
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="SSL3D_CACHE"):
        cache_dir(tmp_path / "file" / "below")


def test_content_key_follows_the_content(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1")
    b.write_bytes(b"1")
    key = content_key(a)
    assert key == content_key(b)
    assert len(key) == 64
    os.utime(a, ns=(0, 0))
    assert content_key(a) == key
    a.write_bytes(b"2")
    assert content_key(a) != key
    with pytest.raises(FileNotFoundError):
        content_key(tmp_path / "missing")
