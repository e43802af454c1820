"""Compare validation results, for ``metric_cmp_fn`` of MONAI's evaluators. Of equal results the later one is best."""

import math


def lower(current: float, best: float) -> bool:
    """Return whether a loss is the best so far; MONAI's evaluators begin with a best value of -1.

    NaN and infinity are never the best. Of equal values the later one wins, because it had more training.
    """
    return math.isfinite(current) and (not best >= 0 or current <= best)


def higher(current: float, best: float) -> bool:
    """Return whether a score is the best so far; see :func:`lower`."""
    return math.isfinite(current) and not best > current
