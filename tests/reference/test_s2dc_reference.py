"""The slow version of S2DC's losses, heads and correspondence gives what the release gave."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from golden_s2dc import mesh, section, tokens
from reference.s2dc import patch_matching, projection_head, released_correspondence, structure_consistency


@pytest.mark.parametrize("name", ["p2p_sinkhorn", "p2p_dual_softmax", "p2s_sharpness"])
def test_losses(name):
    query, key, truth = tokens()
    if name == "p2s_sharpness":
        loss = structure_consistency(query, key, truth)
    else:
        loss = patch_matching(query, key, truth, name.removeprefix("p2p_"))
    assert loss.item() == pytest.approx(section("s2dc", name)["loss"], rel=1e-9)


def test_projection_head_normalises_slabs_of_three_dimensional_input():
    expected = section("s2dc", "projection_head_bn")
    weights, sizes = [], [expected["in_dim"], expected["hidden"], expected["hidden"], expected["out"]]
    for layer, (narrow, wide) in enumerate(pairwise(sizes), start=1):
        o, i = mesh(wide, narrow)
        matrix = torch.sin(0.13 * (o + 1) * layer + 0.29 * (i + 1) + 0.07 * (o + 1) * (i + 1))
        weights.append((matrix, 0.05 * torch.cos(torch.arange(wide, dtype=torch.float64) + layer)))
    t, z, c = mesh(7, 3, 5)
    x = torch.sin(0.31 * t**2 + 0.57 * z + 0.83 * c + 0.21 * z * c)
    slabs = projection_head(x, weights, expected["bn_eps"])
    results = {
        "y_3d": slabs,
        "y_3d_l2normalised": F.normalize(slabs, dim=2),
        "y_2d": projection_head(x[:, 0], weights, expected["bn_eps"]),
    }
    for name, value in results.items():
        torch.testing.assert_close(value, torch.tensor(expected[name], dtype=torch.float64), rtol=1e-9, atol=1e-11)


def test_released_correspondence():
    for case in section("s2dc", "correspondence")["cases"]:
        pairs = released_correspondence(
            case["angle_deg"], case["scale"], tuple(case["translation"]), case["grid"], case["cell"]
        )
        assert sorted(pairs) == sorted(map(tuple, case["reference_pairs_src_aug"]))
