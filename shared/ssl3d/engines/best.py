"""Which validation of a run is the best, for ``metric_cmp_fn`` of MONAI's evaluators: the later one of equals."""

import math


def lower(current: float, best: float) -> bool:
    """Return whether a loss is the best so far; MONAI's evaluators begin with a best value of -1.

    NaN and infinity are never the best. Of equal values the later one is, after more training.
    """
    return math.isfinite(current) and (not best >= 0 or current <= best)


def higher(current: float, best: float) -> bool:
    """Return whether a score is the best so far; see :func:`lower`."""
    return math.isfinite(current) and not best > current
