"""The anatomical embedding loss of a volume in plain loops, written from a description of the method.

Tokens are lists: ``features[view]`` (n, E), ``points[view]`` (n, 3) in mm, valid ones only. Every random subset is the
first part. ``ignored`` is what the score of an ignored token becomes: minus infinity in the product, 0 in the release.
"""

import math

import torch
from torch import Tensor


def fine(
    features: list[Tensor],
    guides: list[Tensor],
    points: list[Tensor],
    *,
    temperature: float,
    positive_distance: float,
    ignore_distance: float,
    candidates: int,
    anchors: int,
    hard_negatives: int,
    negatives: int,
    ignored: float = -math.inf,
) -> Tensor:
    """The fine loss; ``guides[view]`` (n, E) are the coarse vectors at the fine tokens."""
    low = [max(p[:, axis].min() for p in points) for axis in range(3)]
    high = [min(p[:, axis].max() for p in points) for axis in range(3)]
    every = [(view, i) for view in (0, 1) for i in range(len(points[view]))]
    losses = []
    for view in (0, 1):
        inside = [
            i for i in range(len(points[view])) if all(low[a] <= points[view][i, a] <= high[a] for a in range(3))
        ][:candidates]
        nearest = [min((math.dist(points[view][i], p), j) for j, p in enumerate(points[1 - view])) for i in inside]
        close = [(i, j) for i, (d, j) in zip(inside, nearest, strict=True) if d < positive_distance]
        if not close and inside:
            limit = min(nearest)[0] + 0.5
            close = [(i, j) for i, (d, j) in zip(inside, nearest, strict=True) if d <= limit]
        for i, j in close[:anchors]:
            anchor, guide, place = features[view][i], guides[view][i], points[view][i]
            scores = []
            for v, k in every:
                far = math.dist(place, points[v][k]) >= ignore_distance
                scores.append(float(anchor @ features[v][k] + guide @ guides[v][k]) if far else ignored)
            order = sorted(range(len(every)), key=lambda k: -scores[k])[:hard_negatives][:negatives]
            others = [features[every[k][0]][every[k][1]] for k in order if scores[k] > -math.inf]
            losses.append(entropy(anchor, features[1 - view][j], others, temperature))
    if not losses:
        own, places = features[0], points[0]
        for i in range(min(anchors, len(own))):
            far = [math.dist(places[i], p) >= ignore_distance for p in places]
            scores = [float(own[i] @ own[k]) if far[k] else ignored for k in range(len(own))]
            order = sorted(range(len(own)), key=lambda k: -scores[k])[:negatives]
            losses.append(entropy(own[i], own[i], [own[k] for k in order if scores[k] > -math.inf], temperature))
    return torch.stack(losses).mean()


def coarse(
    features: list[Tensor],
    points: list[Tensor],
    elsewhere: Tensor,
    *,
    temperature: float,
    coarse_positive_distance: float,
    coarse_ignore_distance: float,
    coarse_max_z: float,
    z_axis: int,
    coarse_hard_negatives: int,
    coarse_negatives: int,
    global_negatives: int,
    ignored: float = -math.inf,
) -> Tensor:
    """The coarse loss; ``elsewhere`` (m, E) are the coarse tokens of the other volumes."""
    every = [(view, i) for view in (0, 1) for i in range(len(points[view]))]
    queries = []
    for view in (0, 1):
        for i, place in enumerate(points[view]):
            distance, j = min((math.dist(place, p), j) for j, p in enumerate(points[1 - view]))
            height = abs(float(place[z_axis] - points[1 - view][j, z_axis]))
            if distance < coarse_positive_distance and height < coarse_max_z:
                queries.append((view, i, 1 - view, j))
    count = min(coarse_hard_negatives, coarse_negatives) if queries else coarse_negatives
    queries = queries or [(view, i, view, i) for view, i in every]
    losses = []
    for view, i, other, j in queries:
        anchor, place = features[view][i], points[view][i]
        far = [math.dist(place, points[v][k]) >= coarse_ignore_distance for v, k in every]
        scores = [float(anchor @ features[v][k]) if far[n] else ignored for n, (v, k) in enumerate(every)]
        order = sorted(range(len(every)), key=lambda n: -scores[n])[:count]
        others = [features[every[n][0]][every[n][1]] for n in order if scores[n] > -math.inf]
        losses.append(entropy(anchor, features[other][j], [*others, *elsewhere[:global_negatives]], temperature))
    return torch.stack(losses).mean()


def entropy(anchor: Tensor, positive: Tensor, negatives: list[Tensor], temperature: float) -> Tensor:
    """``-log softmax`` of the positive's similarity."""
    logits = torch.stack([anchor @ other for other in [positive, *negatives]]) / temperature
    return logits.logsumexp(0) - logits[0]
