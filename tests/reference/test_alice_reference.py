"""The plain version of Alice's parts against the golden values of the release."""

import numpy as np
import pytest
from golden_alice import matching_maps, section
from reference import alice


def test_hidden_cells():
    golden = section("alice", "mask_generator")
    random = np.random.RandomState(0)
    for cells in golden["cells"]:
        assert alice.hidden_cells(random).tolist() == cells


def test_cosine_schedule():
    warm, plain = section("alice", "cosine_scheduler").values()
    assert alice.cosine_schedule(1.5, 0.1, 40, warmup_steps=8) == pytest.approx(warm, rel=1e-12)
    assert alice.cosine_schedule(0.996, 1.0, 40) == pytest.approx(plain, rel=1e-12)


def test_matching():
    golden = section("alice", "sam_match")
    query, key = matching_maps(golden)
    ratios, shape = [golden[of]["norm_ratio_xyz"] for of in ("query", "key")], golden["key"]["im_shape"]
    for point, place, score in zip(golden["query_points_xyz"], golden["matched_xyz"], golden["scores"], strict=True):
        cell, similarity = alice.best_cell(query, alice.released_cell(point, ratios[0]), key)
        assert alice.released_voxel(cell, ratios[1], shape) == place
        assert similarity == pytest.approx(score, rel=1e-12)
