"""Means with intervals."""

import numpy as np
import pytest

from ssl3d.tasks.statistics import estimate


def test_mean_interval_and_seeds():
    rng = np.random.default_rng(0)
    case = rng.normal(0.8, 0.05, 40)
    scores = case + np.array([[-0.01], [0.0], [0.01]])
    found = estimate(scores)
    assert found.mean == pytest.approx(case.mean())
    assert found.low < found.mean < found.high
    half = 1.96 * case.std(ddof=1) / np.sqrt(40)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1), "close to the normal interval over cases"
    assert found.seed_sd == pytest.approx(0.01)
    assert estimate(scores) == found, "the same each time"


def test_one_seed_has_no_spread_and_equal_cases_no_interval():
    found = estimate(np.full((1, 5), 0.5))
    assert np.isnan(found.seed_sd)
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


def test_scores_that_are_not_finite_are_left_out():
    assert estimate(np.array([[1.0, np.nan, 3.0], [1.0, 2.0, np.inf]])).mean == pytest.approx(2.0)
    with pytest.raises(ValueError, match="no finite score"):
        estimate(np.array([[1.0, np.nan], [1.0, np.nan]]))


@pytest.mark.parametrize("shape", [(5,), (2, 1), (2, 2, 2)])
def test_wrong_shapes_are_named(shape):
    with pytest.raises(ValueError, match=str(shape[0])):
        estimate(np.zeros(shape))
