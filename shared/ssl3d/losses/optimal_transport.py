"""Match two sets of tokens by entropic optimal transport, with a dustbin on either side for unmatched tokens."""

import math
from contextlib import nullcontext

import torch
from torch import Tensor

from .masked_mean import at_least_float32
from .token_pairs import token_mask

# Mass of invalid tokens: finite in float32, and negligible beside any token in float64.
NOTHING = 1e-30


def log_optimal_transport(
    scores: Tensor,
    dustbin: float | Tensor = 1.0,
    num_iterations: int = 20,
    *,
    query_valid: Tensor | None = None,
    key_valid: Tensor | None = None,
) -> Tensor:
    """Return the log of the transport plan of tokens and dustbins after Sinkhorn iterations, rows first.

    The scores get an additional row and column with the value ``dustbin``. Each token has mass 1, the dustbin of the
    rows N and that of the columns M, so that a dustbin can absorb all tokens of the other side. Each token row and
    column of ``exp`` of the plan sums to 1 (the rows up to convergence, which 20 iterations reach in float64 for
    cosines).

    Scores in a range that allows it are exponentiated once, others in each iteration, which gives the same numbers in
    three times the time.

    Args:
        scores: Shape ``(B, M, N)``, similarities divided by the temperature (the entropic regularisation).
        dustbin: Score of having no partner, a number or a 0-dim tensor.
        num_iterations: Exact number of iterations, at least 1.
        query_valid: Shape ``(B, M)``, bool or 0/1; an invalid token has no mass (below 1e-28), as if it were absent.
        key_valid: Shape ``(B, N)``, same for the key.

    Returns:
        Shape ``(B, M + 1, N + 1)``, in the dtype of ``scores``, float32 at least, with the exact gradient of the
        iterations to ``scores`` and to a tensor ``dustbin``.

    Raises:
        ValueError: for any other shape, or a number of iterations below 1.

    Source: S2DC (arXiv:2507.02581), patch-to-patch matching, as its released code computes it, after Sarlin et al.,
    SuperGlue (arXiv:1911.11763), section 3.2; computed by POT (Flamary et al., JMLR 2021).

    Example:
        >>> plan = log_optimal_transport(torch.zeros(1, 2, 3)).exp()
        >>> plan.shape, plan[0, :2].sum(dim=1)
        (torch.Size([1, 3, 4]), tensor([1., 1.]))
    """
    from ot.batch import bregman_log_projection_batch, bregman_projection_batch

    if scores.ndim != 3 or 0 in scores.shape or not scores.is_floating_point():
        raise ValueError(
            f"scores must be floating-point of shape (B, M, N), all sizes above 0, got {tuple(scores.shape)} of "
            f"{scores.dtype}."
        )
    if isinstance(dustbin, Tensor) and dustbin.ndim:
        raise ValueError(f"dustbin must be a number or a 0-dim tensor, got shape {tuple(dustbin.shape)}.")
    if num_iterations < 1:
        raise ValueError(f"num_iterations must be at least 1, got {num_iterations}.")
    rows = token_mask("query_valid", query_valid, scores)
    columns = token_mask("key_valid", key_valid, scores.transpose(1, 2))
    scores = at_least_float32(scores).masked_fill(~(rows[:, :, None] & columns[:, None, :]), 0)

    batch, queries, keys = scores.shape
    bin_score = torch.as_tensor(dustbin).to(scores)
    scores = torch.cat([scores, bin_score.expand(batch, queries, 1)], dim=2)
    scores = torch.cat([scores, bin_score.expand(batch, 1, keys + 1)], dim=1)  # (B, M + 1, N + 1)
    lowest, highest = scores.detach().aminmax()
    # Low enough to be negligible already in the first iteration, before the masses take effect.
    present = rows.new_ones(batch, 1)  # the dustbins
    absent = ~(torch.cat([rows, present], dim=1)[:, :, None] & torch.cat([columns, present], dim=1)[:, None, :])
    limits = torch.finfo(scores.dtype)
    scores = scores.masked_fill(absent, lowest + 2 * math.log(limits.eps))
    m, n = rows.sum(dim=1, keepdim=True), columns.sum(dim=1, keepdim=True)  # (B, 1)
    total = (m + n).clamp(min=1).to(scores)
    row_mass = torch.cat([rows, n], dim=1) / total  # (B, M + 1)
    column_mass = torch.cat([columns, m], dim=1) / total  # (B, N + 1)
    masses = row_mass.clamp(min=NOTHING), column_mass.clamp(min=NOTHING)
    # "autodiff": the default gives no gradient, "last_step" a wrong one for losses on the plan. Never stop early.
    settings = {"max_iter": num_iterations, "tol": 0, "grad": "autodiff"}
    if highest - lowest < math.log(limits.max) / 2:  # the scalings and, for the gradient, their squares are finite
        scores = scores - (highest + lowest) / 2
        # Device of POT's first scalings. The mode costs some microseconds per operation, so it is used only if needed.
        with nullcontext() if torch.get_default_device() == scores.device else scores.device:
            rows_by, columns_by = bregman_projection_batch(scores.exp(), *masses, **settings)["potentials"]
        log_plan = scores + rows_by.log()[:, :, None] + columns_by.log()[:, None, :]
    else:
        log_plan = bregman_log_projection_batch(scores, *masses, **settings)["log_T"]
    return log_plan + total.log()[:, :, None]


def check_transport(dustbin: float, num_iterations: int, temperature: float) -> None:
    """Raise ``ValueError`` for invalid settings of a transport, with the value in the message."""
    if not math.isfinite(dustbin):
        raise ValueError(f"dustbin must be a finite number, got {dustbin}.")
    if num_iterations < 1 or num_iterations != int(num_iterations):
        raise ValueError(f"num_iterations must be a whole number of at least 1, got {num_iterations}.")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a positive number, got {temperature}.")
