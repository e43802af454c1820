"""Estimate means with intervals over cases and deviations over seeds."""

from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap


class Estimate(NamedTuple):
    """Mean over seeds and cases.

    Attributes:
        mean: Mean over all seeds and cases.
        low, high: 95 % interval over cases.
        seed_sd: Standard deviation of the seeds' means; nan with one seed.
    """

    mean: float
    low: float
    high: float
    seed_sd: float


def estimate(scores: np.ndarray) -> Estimate:
    """Estimate the mean of ``scores`` (seeds, cases) with its interval.

    The interval is a BCa bootstrap over the cases (10 000 resamples) of each case's mean over the seeds. It shows how
    the mean would vary with other patients. ``seed_sd`` shows how it varies with the labelled set and the initial
    weights. Entries that are not finite (the surface distance of a missing structure) are left out of the means.

    Raises:
        ValueError: not two dimensions, fewer than two cases, or a case without any finite score.
    """
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ValueError(f"scores must be (seeds, cases) with at least two cases, got shape {scores.shape}.")
    scores = np.where(np.isfinite(scores), scores, np.nan)
    if np.isnan(scores).all(axis=0).any():
        raise ValueError("a case has no finite score in any seed.")
    cases = np.nanmean(scores, axis=0)  # (N,)
    low, high = cases.mean(), cases.mean()
    if np.ptp(cases) > 0:
        interval = bootstrap((cases,), np.mean, n_resamples=10_000, rng=np.random.default_rng(0)).confidence_interval
        low, high = interval.low, interval.high
    seeds = np.nanmean(scores, axis=1)
    return Estimate(
        float(cases.mean()), float(low), float(high), float(seeds.std(ddof=1)) if len(seeds) > 1 else float("nan")
    )
