import math

import pytest
import torch
import torch.nn.functional as F

from ssl3d.losses.token_pairs import token_pairs
from ssl3d.methods.token_monitors import matching_accuracy, token_spread

ALL = torch.ones(1, 4, dtype=torch.bool)
EYE = torch.eye(4)


def test_accuracy_counts_tokens_with_a_partner():
    truth = EYE.bool()[None].clone()
    truth[0, 3, 3] = False  # token 3 has no partner
    key = EYE[[0, 2, 1, 3]][None]  # tokens 1 and 2 look like each other's partner
    accuracy, chance = matching_accuracy(token_pairs(EYE[None], key, truth, ALL, ALL))
    assert accuracy.item() == pytest.approx(1 / 3) and chance.item() == pytest.approx(1 / 4)


def test_invalid_tokens_are_no_candidates():
    query = F.normalize(torch.tensor([[1.0, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), dim=1)[None]
    key = torch.stack([F.normalize(torch.tensor([1.0, 0, 0, 1]), dim=0), query[0, 0], EYE[2], EYE[3]])[None]
    few = torch.tensor([[True, False, True, True]])
    truth = EYE.bool()[None]
    assert matching_accuracy(token_pairs(query, key, truth, ALL, ALL))[0] == 0.75  # token 0 wants key 1, its double
    accuracy, chance = matching_accuracy(token_pairs(query, key, truth, ALL, few))
    assert accuracy == 1 and chance.item() == pytest.approx(1 / 3)
    accuracy, chance = matching_accuracy(token_pairs(query, key, truth, ALL, ~ALL))
    assert accuracy == 0 and chance == 0


def test_spread_of_even_and_collapsed_tokens():
    even = torch.cat([torch.eye(8), -torch.eye(8)])[None]
    valid = torch.ones(1, 16, dtype=torch.bool)
    std, rank = token_spread(even, valid)
    assert std.item() == pytest.approx(1, rel=1e-5) and rank.item() == pytest.approx(8, rel=1e-5)
    std, rank = token_spread(torch.eye(8)[:1].expand(1, 16, 8), valid)
    assert std == 0 and rank == 1
    line = F.pad(torch.tensor([1.0, -1.0] * 8)[:, None], [0, 7])[None]
    std, rank = token_spread(line, valid)
    assert std.item() == pytest.approx(1) and rank.item() == pytest.approx(1)


def test_spread_is_that_of_the_valid_tokens():
    tokens = torch.cat([torch.eye(4), -torch.eye(4), 100 * torch.ones(2, 4)])[None]
    valid = torch.arange(10)[None] < 8
    std, rank = token_spread(tokens, valid)
    assert std.item() == pytest.approx(1, rel=1e-5) and rank.item() == pytest.approx(4, rel=1e-5)
    std, rank = token_spread(tokens, torch.zeros_like(valid))
    assert std == 0 and rank == 1


def test_effective_rank_between():
    tokens = torch.zeros(1, 8, 3)
    tokens[0, :4, 0] = torch.tensor([1.0, 1, -1, -1])
    tokens[0, 4:, 1] = torch.tensor([0.5, 0.5, -0.5, -0.5])
    p = torch.tensor([2 / 3, 1 / 3])  # of singular values sqrt(4) and sqrt(1)
    _, rank = token_spread(tokens, torch.ones(1, 8, dtype=torch.bool))
    assert rank.item() == pytest.approx(math.exp(-(p * p.log()).sum()), rel=1e-5)
