"""Three ways to find a place of one volume in another, and the cache of embeddings."""

import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ssl3d.matching.pair_matchers import EmbeddingMatcher, PointMatcher, RegistrationMatcher, weights_key
from ssl3d.networks import AnatomicalEmbeddingNet, RegistrationNet, UNet3d

SIZE = (32, 24, 40)


def random_state():
    return np.random.RandomState(0)


def texture(seed=0, size=SIZE):
    coarse = torch.rand(1, 1, *(side // 4 for side in size), generator=torch.Generator().manual_seed(seed))
    return 0.1 + F.interpolate(coarse, size, mode="trilinear")[0]


def volume(image, key="k", affine=None):
    item = {"image": image, "valid": torch.ones_like(image), "name": key, "key": key}
    return item if affine is None else {**item, "affine": affine}


def network(seed=0):
    torch.manual_seed(seed)
    return AnatomicalEmbeddingNet(UNet3d(1, (8, 16, 16)), 8)


def test_a_volume_is_found_in_itself(tmp_path):
    match = EmbeddingMatcher(network(), cache_dir=tmp_path)(volume(texture()), volume(texture()), random_state())
    assert match.score > 0.97
    np.testing.assert_allclose(match.first, match.second, atol=1.5)


def test_embeddings_are_computed_once_for_each_content_and_weights(tmp_path, monkeypatch):
    calls = []
    embed = AnatomicalEmbeddingNet.embed
    monkeypatch.setattr(AnatomicalEmbeddingNet, "embed", lambda *arguments: calls.append(1) or embed(*arguments))
    one, other = volume(texture(0), "one"), volume(texture(1), "other")
    first = EmbeddingMatcher(network(), cache_dir=tmp_path)
    found = first(one, other, random_state())
    first(one, other, random_state())
    assert len(calls) == 2, "in memory"
    again = EmbeddingMatcher(network(), cache_dir=tmp_path)(one, other, random_state())
    assert len(calls) == 2, "in files"
    assert again == found
    EmbeddingMatcher(network(seed=1), cache_dir=tmp_path)(one, other, random_state())
    assert len(calls) == 4, "other weights"
    first(volume(texture(0), "changed"), other, random_state())
    assert len(calls) == 5, "other content"
    files = sorted((tmp_path / "embeddings").rglob("*.npz"))
    assert len(files) == 5 and len({file.parent for file in files}) == 2
    with np.load(files[0], allow_pickle=False) as arrays:
        assert {name: arrays[name].dtype for name in arrays} == {"fine": np.float16, "coarse": np.float16}


def test_a_damaged_file_is_made_again(tmp_path, caplog):
    one = volume(texture())
    found = EmbeddingMatcher(network(), cache_dir=tmp_path)(one, one, random_state())
    (file,) = (tmp_path / "embeddings").rglob("*.npz")
    others = {}
    for name, arrays in (("pickle", {"fine": np.array([{}]), "coarse": np.zeros(1)}), ("flat", {"fine": np.zeros(1)})):
        np.savez(tmp_path / f"{name}.npz", **{"coarse": np.zeros(1)} | arrays)
        others[name] = (tmp_path / f"{name}.npz").read_bytes()
    np.save(tmp_path / "array.npy", np.zeros(3))
    others["array"] = (tmp_path / "array.npy").read_bytes()
    for content in (b"", b"PK not a zip", file.read_bytes()[:500], *others.values()):
        file.write_bytes(content)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert EmbeddingMatcher(network(), cache_dir=tmp_path)(one, one, random_state()) == found
        assert file.name in caplog.text
        assert "allow_pickle" not in caplog.text


def test_weights_are_known_by_their_content():
    assert weights_key(network()) == weights_key(network()) != weights_key(network(seed=1))
    changed = network()
    changed.fine.bias.data[0] += 1e-3
    assert weights_key(changed) != weights_key(network())


def moving_network(move):
    """A registration network that finds the same displacement in any pair."""
    torch.manual_seed(0)
    network = RegistrationNet(UNet3d())
    affine = network.head.affine
    for layer in (network.head.flow.flow, affine.rotation, affine.scale, affine.shear, affine.translation):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    affine.translation.bias.data = torch.tensor(move)
    return network


@pytest.mark.parametrize("cut", [(0, 0, 0), (3, 2, 5)])
def test_a_registration_is_followed_into_the_second_volume(cut):
    """The second volume is the first one moved, and of another size: the true place is known, and its score is 1."""
    whole = texture(size=(48, 40, 56))
    first = volume(whole[:, 8:40, 8:32, 8:48], "first")
    sides = [side + more for side, more in zip(SIZE, cut, strict=True)]
    centre = [8 + side // 2 - total // 2 for side, total in zip(SIZE, sides, strict=True)]
    low = [start - move for start, move in zip(centre, (2, -1, 1), strict=True)]
    part = tuple(slice(start, start + side) for start, side in zip(low, sides, strict=True))
    second = volume(whole[(slice(None), *part)], "second")
    matcher = RegistrationMatcher(moving_network((2.0, -1.0, 1.0)))
    random, inner = random_state(), 0
    for _ in range(20):
        match = matcher(first, second, random)
        if all(7 <= place < side - 7 for place, side in zip(match.first, SIZE, strict=True)):
            inner += 1
            voxel = tuple(int(place) for place in match.first)
            found = tuple(round(place) for place in match.second)
            assert second["image"][(0, *found)] == first["image"][(0, *voxel)]
            assert match.score > 0.99
    assert inner
    other = volume(texture(seed=9), "other")
    assert np.mean([matcher(first, other, random).score for _ in range(10)]) < 0.5


def write(file, rows):
    file.write_text("scan,name,x,y,z,score,kept\n" + "".join(f"{row}\n" for row in rows))
    return file


AFFINE = torch.tensor([[2.0, 0, 0, -10], [0, 2, 0, 0], [0, 0, 2, 100], [0, 0, 0, 1]]).double()


def test_known_points_are_taken_in_voxels_of_the_prepared_volumes(tmp_path):
    rows = ["a,liver,10,20,120,0.9,yes", "b,liver,-8,2,102,0.8,yes", "a,only here,0,0,100,1,yes"]
    matcher = PointMatcher(write(tmp_path / "points.csv", [*rows, "a,far,999,0,0,1,yes", "b,far,0,0,100,1,yes"]))
    one, other = volume(texture(), "a", AFFINE), volume(texture(), "b", AFFINE)
    for _ in range(5):
        match = matcher(one, other, random_state())
        assert match.first == (10, 10, 10) and match.second == (1, 1, 1) and match.score == 0.8
    assert matcher(one, volume(texture(), "c", AFFINE), random_state()) is None


@pytest.mark.parametrize("row", ["a,liver,1,2", "a,liver,1,2,x,0.5,yes", "a,liver,1,2,nan,0.5,yes"])
def test_files_of_points_of_another_form_are_named(tmp_path, row):
    with pytest.raises(ValueError, match=r"p\.csv cannot be read .*scan, name, x, y, z"):
        PointMatcher(write(tmp_path / "p.csv", [row]))
    with pytest.raises(ValueError, match=r"e\.csv holds no points"):
        PointMatcher(write(tmp_path / "e.csv", []))
