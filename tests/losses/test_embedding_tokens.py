"""Which tokens the anatomical embedding loss selects: the highest scores, and those of them that are allowed."""

import pytest
import torch

from ssl3d.losses.embedding_tokens import hardest, highest


@pytest.mark.parametrize(("n", "count"), [(100, 3), (101, 3), (97, 8), (40, 40), (40, 50), (7, 5), (4096, 1)])
def test_highest_are_those_of_a_sort(n, count):
    score = torch.randn(5, n, generator=torch.Generator().manual_seed(n))
    score[1, 2:] = -torch.inf
    score[2] = torch.arange(n).flip(0)  # the highest stand side by side
    assert score.gather(1, highest(score, count)).equal(score.sort(dim=1, descending=True).values[:, :count])
    assert all(len(row.unique()) == min(n, count) for row in highest(score, count))


def test_hardest_has_no_more_columns_than_a_row_has_allowed():
    score, allowed = torch.arange(100.0).expand(2, 100).clone(), torch.zeros(2, 100, dtype=torch.bool)
    allowed[0, [5, 90]], allowed[1, 7] = True, True
    chosen, kept = hardest(score, allowed, 10)
    assert chosen[kept].tolist() == [90, 5, 7] and kept.tolist() == [[True, True], [True, False]]
