"""Losses of cosines refuse tokens that are not of norm 1."""

import pytest
import torch
from torch.nn.functional import normalize

from ssl3d.losses import AnatomicalEmbeddingLoss, PatchMatchingLoss, StructureConsistencyLoss


@pytest.mark.parametrize("loss", [PatchMatchingLoss(), PatchMatchingLoss("dual_softmax"), StructureConsistencyLoss()])
@pytest.mark.parametrize("scale", [3.0, 0.5])
@pytest.mark.parametrize("which", ["query", "key"])
def test_other_norms_are_refused(loss, scale, which):
    torch.manual_seed(0)
    tokens = {name: normalize(torch.randn(2, 6, 8), dim=-1) for name in ("query", "key")}
    loss(**tokens, correspondence=torch.eye(6))
    tokens[which][1, 2] *= scale
    with pytest.raises(ValueError, match=rf"{which} must have tokens of norm 1, got one of norm {scale:g}"):
        loss(**tokens, correspondence=torch.eye(6))
    valid = torch.ones(2, 6)
    valid[1, 2] = 0
    assert loss(**tokens, correspondence=torch.eye(6), **{f"{which}_valid": valid}).isfinite()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rounding_and_zeros_pass(dtype):
    torch.manual_seed(0)
    tokens = normalize(torch.randn(1, 50, 64), dim=-1).to(dtype)
    tokens[0, 3] = 0
    assert PatchMatchingLoss()(tokens, tokens, torch.eye(50)).isfinite()


@pytest.mark.parametrize("which", ["fine", "coarse"])
def test_embeddings_of_other_norms_are_refused(which):
    torch.manual_seed(0)
    grid = torch.stack(torch.meshgrid([2.0 * torch.arange(8)] * 3, indexing="ij"))
    tokens = {name: normalize(torch.rand(1, 2, 8, n, n, n), dim=2) for name, n in (("fine", 4), ("coarse", 2))}
    rest = {"coordinates": grid.expand(1, 2, 3, 8, 8, 8), "valid": torch.ones(1, 2, 1, 8, 8, 8)}
    loss = AnatomicalEmbeddingLoss()
    loss(**tokens, **rest)
    tokens[which][0, 1, :, 0, 0, 0] *= 3
    with pytest.raises(ValueError, match=f"{which} must have tokens of norm 1, got one of norm 3"):
        loss(**tokens, **rest)
    assert loss.of(**tokens, **rest)["fine"].isfinite(), "methods normalise, and do not pay for the check"
    rest["valid"][0, 1, :, :4, :4, :4] = 0
    loss(**tokens, **rest)
