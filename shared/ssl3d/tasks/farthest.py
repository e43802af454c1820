"""Choose points that lie far from one another."""

from collections.abc import Mapping, Sequence

import torch


def farthest(points: Mapping[str, Sequence[float]], count: int) -> list[str]:
    """Choose ``count`` of named points: the first and then always the one that lies farthest from those taken already.

    Names are taken in alphabetical order, so that scans with the same names differ as little as their anatomy.
    """
    names = sorted(points)
    places = torch.tensor([list(points[name]) for name in names], dtype=torch.float64)
    taken = [0]
    while len(taken) < min(count, len(names)):
        distance = torch.cdist(places, places[taken]).amin(dim=1)
        taken.append(int(distance.argmax()))
    return [names[index] for index in taken]
