"""Passports: what they must hold, that they are the same file each time, and the pair that save leaves."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from ssl3d.weights import Passport, differences, load, passport_of, save
from ssl3d.weights.passport import read, write


@pytest.fixture
def passport():
    return Passport(
        method="gvsl",
        backbone="UNet3d",
        backbone_arguments={"channels": [16, 32], "stem_stride": 2},
        part="network",
        network="student",
        corpus=[{"name": "MSD Task04", "count": 122, "licence": "CC BY-SA 4.0"}],
        synthetic=False,
        spacing=[1.0, 1.0, 1.5],
        orientation="RAS",
        intensity={"kind": "window", "lower": -175, "upper": 250},
        roi_size=[48, 64, 48],
        steps=300,
        seed=0,
        ssl3d_version="0.1.0",
        licence="CC BY-SA 4.0",
        results=[{"metric": "Dice, déjà vu", "value": 0.85, "command": "ssl3d probe"}],
    )


def test_write_and_read_give_the_same_passport_and_the_same_bytes(passport, tmp_path):
    write(passport, tmp_path / "a.json")
    assert read(tmp_path / "a.json") == passport
    write(read(tmp_path / "a.json"), tmp_path / "b.json")
    text = (tmp_path / "a.json").read_bytes()
    assert text == (tmp_path / "b.json").read_bytes()
    assert text.startswith(b'{\n    "method": "gvsl",\n') and text.endswith(b"}\n")
    assert "déjà" in text.decode("utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", ""),
        ("backbone", None),
        ("backbone_arguments", [1]),
        ("part", "decoder"),
        ("corpus", [{"name": "a", "count": -1, "licence": "b"}]),
        ("corpus", [{"name": "a", "count": 1}]),
        ("corpus", {"name": "a", "count": 1, "licence": "b"}),
        ("synthetic", "false"),
        ("spacing", [1.0, 1.0]),
        ("spacing", [1.0, 0.0, 1.0]),
        ("orientation", "RAR"),
        ("orientation", "RA"),
        ("orientation", "XAS"),
        ("intensity", {"kind": "windows", "lower": 0, "upper": 1}),
        ("intensity", {"kind": "window", "lower": 0}),
        ("intensity", "window"),
        ("roi_size", [48, 64, 48.5]),
        ("steps", True),
        ("seed", -1),
        ("sha256", "abc"),
        ("results", [{"metric": "Dice", "value": float("nan"), "command": "x"}]),
    ],
)
def test_a_wrong_value_is_named(passport, field, value):
    with pytest.raises(ValueError, match=f"Passport: {field} must be .*got "):
        replace(passport, **{field: value})


def test_every_orientation_of_the_body_is_valid(passport):
    for orientation in ("RAS", "LPS", "LPI", "SAR", "PIL"):
        assert replace(passport, orientation=orientation).orientation == orientation


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: entries.pop("licence"), "lacks licence"),
        (lambda entries: entries.update(licenze="x"), "has licenze"),
        (lambda entries: entries.update(steps="many"), "steps must be"),
    ],
)
def test_a_file_with_wrong_fields_is_named(passport, tmp_path, change, message):
    write(passport, tmp_path / "a.json")
    entries = json.loads((tmp_path / "a.json").read_text())
    change(entries)
    (tmp_path / "a.json").write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=rf"a\.json.*{message}"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["{", "[1]", "\udcff"])
def test_a_file_that_is_no_passport_is_named(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"a\.json is not a passport"):
        read(tmp_path / "a.json")


def test_differences_tell_what_departs_and_only_that(passport):
    same = {
        "orientation": "RAS",
        "spacing": (1, 1, 1.5001),
        "intensity": {"kind": "window", "lower": -175.0, "upper": 250},
    }
    assert differences(passport, same) == []
    assert differences(passport, {}) == []
    assert differences(passport, {"orientation": "LPS"}) == [
        "orientation: the weights were trained with RAS, this run uses LPS."
    ]
    found = differences(
        passport, {"spacing": [1.0, 1.0, 1.0], "intensity": {"kind": "percentiles", "lower": 1, "upper": 99}}
    )
    assert found == [
        "spacing: the weights were trained with 1.0 x 1.0 x 1.5 mm, this run uses 1.0 x 1.0 x 1.0 mm.",
        "intensity: the weights were trained with window -175 250, this run uses percentiles 1 99.",
    ]
    with pytest.raises(ValueError, match="'pixdim'"):
        differences(passport, {"pixdim": [1, 1, 1]})


def norm_network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4))
    network(torch.randn(2, 1, 5, 5, 5))  # the running statistics and their counter move
    return network


def bits(network: nn.Module) -> dict[str, bytes]:
    return {name: tensor.contiguous().numpy().tobytes() for name, tensor in network.state_dict().items()}


def test_save_then_load_is_a_float16_round_trip(passport, tmp_path):
    source, target = norm_network(0), norm_network(1)
    written = save(source, tmp_path / "deep" / "model.pt", passport)
    stored = torch.load(tmp_path / "deep" / "model.pt", weights_only=True)
    assert {t.dtype for n, t in stored.items() if n != "1.num_batches_tracked"} == {torch.float16}
    assert stored["1.num_batches_tracked"].dtype == torch.int64
    digest = hashlib.sha256((tmp_path / "deep" / "model.pt").read_bytes()).hexdigest()
    assert written == replace(passport, sha256=digest) == read(tmp_path / "deep" / "model.json")
    assert passport_of(tmp_path / "deep" / "model.pt") == written
    assert passport_of(tmp_path / "deep" / "other.pt") is None
    assert load(target, tmp_path / "deep" / "model.pt", min_match=1.0).fraction == 1.0
    for name, tensor in target.state_dict().items():
        expected = source.state_dict()[name]
        assert tensor.dtype == expected.dtype
        assert torch.equal(tensor, expected.half().float() if expected.is_floating_point() else expected), name


def test_bytes_do_not_depend_on_memory_format_or_storage(passport, tmp_path):
    plain = norm_network(0)
    first = save(plain, tmp_path / "a.pt", passport)
    assert save(plain.to(memory_format=torch.channels_last_3d), tmp_path / "b.pt", passport) == first
    large = torch.zeros(1_000_000, dtype=torch.float16)
    save({"view": large[:4]}, tmp_path / "c.pt", passport)
    assert (tmp_path / "c.pt").stat().st_size < 10_000


@pytest.mark.parametrize("value", [70_000.0, float("nan"), float("-inf")])
def test_what_float16_cannot_hold_is_refused_and_nothing_is_written(passport, tmp_path, value):
    with pytest.raises(ValueError, match=r"0\.bias is not finite"):
        save({"0.bias": torch.tensor([0.0, value])}, tmp_path / "model.pt", passport)
    with pytest.raises(ValueError, match="epoch is int"):
        save({"epoch": 3}, tmp_path / "model.pt", passport)
    assert list(tmp_path.iterdir()) == []


def test_names_that_would_overwrite_are_refused(passport, tmp_path):
    with pytest.raises(ValueError, match="own passport"):
        save({}, tmp_path / "model.json", passport)
    with pytest.raises(ValueError, match="another folder"):
        save({}, tmp_path / "model.pt", passport, keep=tmp_path / ".")


def test_the_former_pair_is_kept_and_loads(passport, tmp_path):
    path, keep = tmp_path / "model.pt", tmp_path / "previous"
    networks = [norm_network(seed) for seed in range(3)]
    save(networks[0], path, replace(passport, seed=0), keep=keep)
    assert not keep.exists()
    for seed in (1, 2):
        save(networks[seed], path, replace(passport, seed=seed), keep=keep)
        for file, expected in ((path, seed), (keep / "model.pt", seed - 1)):
            target = norm_network(9)
            load(target, file, part="network", min_match=1.0)
            assert read(file.with_suffix(".json")).seed == expected
            assert torch.equal(target[0].weight, networks[expected][0].weight.half().float())
    path.with_suffix(".json").unlink()  # weights from elsewhere, without a passport, are kept without one
    foreign = path.read_bytes()
    save(networks[0], path, passport, keep=keep)
    assert (keep / "model.pt").read_bytes() == foreign
    assert [p.name for p in keep.iterdir()] == ["model.pt"]


class Crash(BaseException):
    """Ends save as a kill would: no handler catches it."""


@pytest.mark.parametrize("previous", [False, True])
def test_a_crash_at_any_replacement_never_leaves_a_pair_that_loads_as_another(
    passport, tmp_path, monkeypatch, previous
):
    old, new = norm_network(0), norm_network(1)
    finished, outcomes = False, []
    for survivors in range(10):
        folder = tmp_path / str(survivors)
        path, keep = folder / "model.pt", folder / "previous"
        if previous:
            save(old, path, replace(passport, seed=0))
        replacements = iter(range(survivors))

        def crashing(self, target, replacements=replacements):
            if next(replacements, None) is None:
                raise Crash
            return os.replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(type(path), "replace", crashing)
            try:
                save(new, path, replace(passport, seed=1), keep=keep)
                finished = True
            except Crash:
                pass
        for file in (path, keep / "model.pt"):
            target = norm_network(9)
            before = bits(target)
            try:
                load(target, file, min_match=1.0)
            except FileNotFoundError:
                outcomes.append("absent")
            except ValueError as error:
                assert "is not the file that its passport" in str(error)
                outcomes.append("refused")
            else:
                seed = read(file.with_suffix(".json")).seed  # there is one, and it is the right one
                assert torch.equal(target[0].weight, (old, new)[seed][0].weight.half().float())
                outcomes.append(("old", "new")[seed])
                continue
            assert bits(target) == before
        if finished:
            break
    assert finished
    model, kept = outcomes[::2], outcomes[1::2]
    assert model == (["old", "old", "old", "refused", "new"] if previous else ["absent", "absent", "new"])
    assert kept == (["absent", "absent", "old", "old", "old"] if previous else ["absent"] * 3)


@pytest.mark.parametrize("ending", [".pt", ".json"])
@pytest.mark.parametrize("keeps", [False, True])
def test_a_full_disk_leaves_the_former_pair(passport, tmp_path, monkeypatch, ending, keeps):
    """Whichever of the files the disk has no room for, the pair that was there loads."""
    path, keep = tmp_path / "model.pt", tmp_path / "previous" if keeps else None
    torch.manual_seed(0)
    save(nn.Linear(2, 3), path, replace(passport, part="network", seed=0))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    write = "write_bytes" if ending == ".pt" else "write_text"

    def full(file, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, write, full)
    with pytest.raises(OSError, match="No space left"):
        save(nn.Linear(2, 3), path, replace(passport, part="network", seed=1), keep=keep)
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before
    assert load(nn.Linear(2, 3), path).fraction == 1
