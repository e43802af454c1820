"""Structure maps: planted structures are found, the geometry is that of the scan."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor

from ssl3d.tasks.structures.structure_map import (
    StructureMapd,
    TokenGridd,
    component_colours,
    neighbourhood_average,
    structure_map,
)


def planted(noise=0.3, size=(6, 4, 4)):
    """Tokens of three structures, layers along the first axis, and the layer of each."""
    number = torch.arange(size[0]).clamp(max=4) // 2  # 0 0 1 1 2 2: the last is as large as the others
    layers = number.view(-1, 1, 1).expand(size)
    tokens = F.one_hot(layers, 8).float().movedim(-1, 0)
    noisy = tokens + noise * torch.randn(8, *size, generator=torch.Generator().manual_seed(0))
    return F.normalize(noisy, dim=0), layers


def test_planted_structures_are_found_at_the_resolution_of_the_scan():
    tokens, layers = planted()
    found = structure_map(tokens, (4, 4, 4), 3)[0]
    assert found.dtype == torch.uint8 and found.shape == (24, 16, 16)
    truth = layers.repeat_interleave(4, 0).repeat_interleave(4, 1).repeat_interleave(4, 2)
    inner = torch.ones(24, dtype=torch.bool)
    inner[[7, 8, 15, 16]] = False  # a voxel beside a border may be of either side
    pairs = set(zip(truth[inner].flatten().tolist(), found[inner].flatten().tolist(), strict=True))
    assert len(pairs) == 3 and {structure for _, structure in pairs} == {1, 2, 3}


def test_numbers_go_from_large_to_small_and_are_the_same_each_time():
    tokens = F.normalize(torch.randn(5, 4, 4, 4, generator=torch.Generator().manual_seed(1)), dim=0)
    found = structure_map(tokens, (2, 2, 2), 5)
    sizes = torch.bincount(found.flatten().long())[1:]
    assert (sizes.diff() <= 0).all()
    assert torch.equal(found, structure_map(tokens, (2, 2, 2), 5))


def test_the_average_takes_from_alike_neighbours_alone():
    tokens = torch.zeros(2, 3, 1, 1)
    tokens[0, :2] = 1.0  # two alike, and one at right angles to them
    tokens[1, 2] = 1.0
    torch.testing.assert_close(neighbourhood_average(tokens), tokens)
    tokens = F.normalize(torch.tensor([[1.0, 0.2], [1.0, -0.2]]), dim=1).T.reshape(2, 2, 1, 1)
    cosine = (tokens[:, 0] * tokens[:, 1]).sum()
    expected = F.normalize(tokens[:, 0] + cosine * tokens[:, 1], dim=0)
    torch.testing.assert_close(neighbourhood_average(tokens)[:, 0], expected)


def test_colours_are_of_the_components_and_in_range():
    line = torch.linspace(-1, 1, 8)
    tokens = torch.stack([line, 0 * line, 0.01 * line.square()])[:, :, None, None].expand(3, 8, 2, 2)
    colours = component_colours(tokens, (1, 1, 1))
    assert colours.shape == (3, 8, 2, 2) and colours.min() >= 0 and colours.max() <= 1
    first = colours[0, :, 0, 0].diff()
    assert (first >= 0).all() or (first <= 0).all(), "along the line"
    assert component_colours(tokens[:2], (2, 2, 2)).shape == (3, 16, 4, 4), "fewer components than colours"


def test_transforms_put_tokens_and_structures_where_the_scan_is():
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    affine[:3, 3] = torch.tensor([10.0, 20.0, 30.0])
    image = MetaTensor(torch.zeros(1, 24, 16, 16), affine=affine, meta={"filename_or_obj": "scan.nii"})
    tokens, _ = planted()
    item = TokenGridd("pred")({"image": image, "pred": 0.5 * tokens})
    torch.testing.assert_close(item["pred"].as_tensor(), tokens)
    np.testing.assert_allclose(item["pred"].affine[:3, 3], [10 + 1.5 * 2, 20 + 1.5 * 3, 30 + 1.5 * 4])
    np.testing.assert_allclose(item["pred"].affine[:3, :3], np.diag([8, 12, 16]))
    item = StructureMapd("pred", structures=3)(item)
    assert item["structures"].shape == (1, 24, 16, 16) and item["colours"].shape == (3, 24, 16, 16)
    np.testing.assert_allclose(item["structures"].affine, affine)
    assert item["pred"].meta["filename_or_obj"] == item["structures"].meta["filename_or_obj"] == "scan.nii"


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="structures must be from 2 to 254, got 1"):
        StructureMapd("pred", structures=1)
    with pytest.raises(ValueError, match=r"\(9, 8, 8\) voxels is no whole number of cells .* DivisiblePadd"):
        StructureMapd("pred")({"image": MetaTensor(torch.zeros(1, 9, 8, 8)), "pred": torch.zeros(3, 4, 4, 4)})
