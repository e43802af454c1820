"""Weights files of others: containers, prefixes, safetensors, and files that are none."""

import json
import pickle
import re
import struct

import pytest
import torch

from ssl3d.networks import SegmentationNet, UNet3d
from ssl3d.weights import load
from ssl3d.weights.files import tensors_in


def network(seed):
    torch.manual_seed(seed)
    return SegmentationNet(UNet3d(1, (8, 16)), 3)


def assert_loads(file, source, **settings):
    target = network(9)
    report = load(target, file, part="network", min_match=1.0, **settings)
    assert report.missing == report.unexpected == []
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, source[name]), name


@pytest.mark.parametrize(
    "prefix",
    [
        *("_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "net.", "network.", "model.", "backbone."),
        *("model.network.module.", "net._orig_mod.", "module.module.student."),
    ],
)
def test_prefixes_are_stripped_in_any_nesting(tmp_path, prefix):
    source = network(1).state_dict()
    torch.save({prefix + name: tensor for name, tensor in source.items()}, tmp_path / "w.pt")
    assert_loads(tmp_path / "w.pt", source)


def test_compiled_parts_are_found(tmp_path):
    source = network(1).state_dict()
    renamed = {
        n.replace("backbone.", "backbone._orig_mod.").replace("head.", "head._orig_mod."): t for n, t in source.items()
    }
    torch.save(renamed, tmp_path / "w.pt")
    assert_loads(tmp_path / "w.pt", source)


@pytest.mark.parametrize(
    "key", ["network_weights", "net", "model_state_dict", "state_dict", "weights", "whatever", "network"]
)
def test_the_one_dictionary_of_tensors_is_opened(tmp_path, key):
    source = network(1)
    optimizer = torch.optim.AdamW(source.parameters())
    source(torch.rand(1, 1, 16, 16, 16)).mean().backward()
    optimizer.step()
    tree = {"epoch": 3, "rate": torch.zeros(()), key: source.state_dict(), "optimizer_state": optimizer.state_dict()}
    torch.save(tree, tmp_path / "w.pt")
    assert_loads(tmp_path / "w.pt", source.state_dict())


def test_of_our_checkpoint_the_best_weights_are_taken_or_the_last(tmp_path):
    last, best = network(1).state_dict(), network(2).state_dict()
    rest = {"optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}, "best_metric": 0.5, "epoch": 2}
    torch.save({"network": last, "best": best, **rest}, tmp_path / "checkpoint.pt")
    assert_loads(tmp_path / "checkpoint.pt", best)
    torch.save({"network": last, "best": None, **rest}, tmp_path / "checkpoint.pt")
    assert_loads(tmp_path / "checkpoint.pt", last)


def test_two_dictionaries_of_unknown_keys_are_refused(tmp_path):
    one = {"a": torch.zeros(1), "b": torch.zeros(1)}
    torch.save({"generator": one, "critic": one}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt holds several dictionaries of tensors: critic, generator"):
        load(network(1), tmp_path / "w.pt")


def safetensors(tensors, header=None):
    names = {torch.float32: "F32", torch.float16: "F16", torch.int64: "I64", torch.bfloat16: "BF16"}
    entries, values = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        offsets = [len(values), len(values) + len(raw)]
        entries[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        values += raw
    text = json.dumps(entries if header is None else header).encode()
    return struct.pack("<Q", len(text)) + text + values


def test_safetensors_are_read(tmp_path):
    source = network(1).state_dict()
    for name in ("w.safetensors", "renamed.pt"):
        (tmp_path / name).write_bytes(safetensors(source))
        assert_loads(tmp_path / name, source)
    several = {
        "half": torch.rand(2, 3).half(), "brain": torch.rand(4).bfloat16(), "count": torch.arange(3),
        "none": torch.zeros(0, 2), "one": torch.tensor(2.5),
    }  # fmt: skip
    found = tensors_in(safetensors(several), "x.safetensors")
    assert found.keys() == several.keys()
    assert all(torch.equal(found[name], several[name]) and found[name].dtype == several[name].dtype for name in found)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 800]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": "2", "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 7]},
        {"dtype": "F8", "shape": [8], "data_offsets": [0, 8]},
        {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]},
        {"shape": [2]},
        [],
    ],
)
def test_damaged_safetensors_are_refused(entry):
    with pytest.raises(ValueError, match=r"bad\.safetensors cannot be read"):
        tensors_in(safetensors({}, {"w": entry}) + bytes(8), "bad.safetensors")


@pytest.mark.parametrize(
    "content",
    [b"abc", bytes(8), struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 2) + b"{}", struct.pack("<Q", 2) + b"[]"],
)
def test_a_damaged_header_is_refused(content):
    with pytest.raises(ValueError, match=r"bad\.safetensors cannot be read"):
        tensors_in(content, "bad.safetensors")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer.*git lfs pull"),
        (b"/annex/objects/MD5E-s9--0.pt\n", "git-annex"),
        (b"\n<!DOCTYPE html><html>no such file</html>", "web page"),
        (b"<html>", "web page"),
        (b"", "it is empty"),
        (b"hello", "neither a PyTorch nor a safetensors file"),
        (pickle.dumps({"a": 1, "b": pytest.raises}), "other objects than tensors|cannot be read"),
    ],
)
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_what_is_no_weights_file_is_named_and_no_unsafe_advice_given(tmp_path, content, said, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name) as refused:
        load(network(1), tmp_path / name)
    text = str(refused.value)
    assert "weights_only" not in text and "add_safe_globals" not in text
    if name == "w.pt" or b"version" in content or b"<" in content:
        assert re.search(said, text), text
