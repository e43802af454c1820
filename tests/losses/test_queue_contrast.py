"""The contrast with a queue, and the whole golden criterion of S2DC."""

import math

import pytest
import torch
import torch.nn.functional as F
from golden_s2dc import embeddings, global_features, section, tokens

from ssl3d.losses import PatchMatchingLoss, QueueContrastiveLoss, StructureConsistencyLoss


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_golden_loss_and_gradient():
    expected = section("s2dc", "contrast")
    query, keys = embeddings()
    loss = QueueContrastiveLoss(expected["temperature"])(query.requires_grad_(), keys[:2], keys[2:])
    loss.backward()
    assert loss.item() == pytest.approx(expected["loss"], rel=1e-9)
    torch.testing.assert_close(query.grad, torch.tensor(expected["grad_q"], dtype=torch.float64), rtol=1e-9, atol=1e-11)


def test_golden_criterion():
    """Two images of four crops: all three losses with weight 1/2; negatives are the other crops and the queue."""
    expected = section("s2dc", "full_criterion")
    query, key, truth = tokens(6)
    queries, positives, plain, queue = global_features()
    chosen = F.one_hot(torch.tensor(expected["crop_index_per_image"]), 4).bool()
    query.requires_grad_(), queries.requires_grad_()
    matching = PatchMatchingLoss()
    p2p, p2s = matching(query, key, truth), StructureConsistencyLoss()(query, key, truth)
    contrast = QueueContrastiveLoss()(queries[chosen], positives[chosen], torch.cat([positives[~chosen], queue]))
    total = (p2p + p2s + contrast) / 2
    total.backward()
    expected = expected["sinkhorn"]
    actual = {
        "total": total,
        "pos": matching.parts["positive"],
        "neg": matching.parts["negative"],
        "p2s_unweighted": p2s,
        "global_weighted": contrast / 2,
        "grad_q_norm": query.grad.norm(),
        "grad_qcl_norm": queries.grad.norm(),
    }
    for name, value in actual.items():
        assert value.item() == pytest.approx(expected[name], rel=1e-9), name
    torch.testing.assert_close(queries.grad.norm(dim=2), torch.tensor(expected["grad_qcl_per_row"]).double())
    torch.testing.assert_close(plain[chosen], torch.tensor(expected["enqueued_keys"], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_direct_computation(dtype):
    query, positive, negatives = (random(3, 5, seed=0), random(3, 5, seed=1), random(7, 5, seed=2))
    loss = QueueContrastiveLoss(0.5)(query.to(dtype), positive.to(dtype), negatives.to(dtype))
    terms = []
    for q, p in zip(query, positive, strict=True):
        right = (q @ p / 0.5).exp()
        terms.append(-(right / (right + (negatives @ q / 0.5).exp().sum())).log())
    assert loss.dtype == dtype
    torch.testing.assert_close(loss.double(), torch.stack(terms).mean(), rtol=1e-5, atol=1e-7)


def test_only_the_query_receives_a_gradient():
    query, positive, negatives = (random(*shape).requires_grad_() for shape in ((3, 5), (3, 5), (7, 5)))
    assert torch.autograd.gradcheck(lambda q: QueueContrastiveLoss()(q, positive, negatives), (query,))
    QueueContrastiveLoss()(query, positive, negatives).backward()
    assert query.grad.any() and positive.grad is None and negatives.grad is None


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_inputs_are_computed_in_full(half):
    query, positive, negatives = ((100 * random(*shape)).to(half) for shape in ((3, 64), (3, 64), (7, 64)))
    loss = QueueContrastiveLoss(0.1)(query.requires_grad_(), positive, negatives)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite() and query.grad.isfinite().all()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(QueueContrastiveLoss(0.1)(query.float(), positive, negatives), loss)


def test_collapsed_features_are_told_apart_by_chance():
    one = torch.full((9, 4), 0.5)
    loss = QueueContrastiveLoss(0.1)(one[:2].requires_grad_(), one[:2], one[2:])
    assert loss.item() == pytest.approx(math.log(8), rel=1e-6)


@pytest.mark.parametrize("shapes", [[(2, 3, 77), (2, 3), (5, 3)], [(2, 3), (77, 3), (5, 3)], [(2, 3), (2, 3), (5, 77)]])
def test_faults_are_named(shapes):
    with pytest.raises(ValueError, match="77"):
        QueueContrastiveLoss()(*map(torch.zeros, shapes))
    with pytest.raises(ValueError, match="positive number, got -1"):
        QueueContrastiveLoss(-1)
