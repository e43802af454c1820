"""The anatomical embedding loss: golden values, a plain version, what is selected and what never is."""

import math

import pytest
import torch
import torch.nn.functional as F
from golden_alice import assert_summary, section, sin
from reference import anatomical_embedding as plain

from ssl3d.losses import AnatomicalEmbeddingLoss

FIRST = {"permutation": torch.arange}
SMALL = {
    "positive_distance": 2.0,
    "ignore_distance": 6.0,
    "candidates": 50,
    "anchors": 10,
    "hard_negatives": 60,
    "negatives": 20,
    "coarse_hard_negatives": 30,
    "coarse_negatives": 20,
    "global_negatives": 15,
}


def unit(tensor, dim=2):
    return F.normalize(tensor, dim=dim)


def random_unit(*shape, seed=0, dtype=torch.float64):
    return unit(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


def grid(size, steps=(1.0, 1.0, 1.0), offset=(0.0, 0.0, 0.0)):
    """(3, D, H, W) mm."""
    axes = [o + s * torch.arange(n, dtype=torch.float64) for n, s, o in zip(size, steps, offset, strict=True)]
    return torch.stack(torch.meshgrid(axes, indexing="ij"))


def case(volumes=2, seed=0, shift=(2.5, -3.0, 1.5), dtype=torch.float64, width=6):
    """Random embeddings of two overlapping views, 8 x 12 x 8 voxels of 2 x 1.5 x 3 mm; fine stride 2, coarse 4."""
    size, steps = (8, 12, 8), (2.0, 1.5, 3.0)
    views = torch.stack([grid(size, steps), grid(size, [1.1 * s for s in steps], shift)])
    return {
        "fine": random_unit(volumes, 2, width, 4, 6, 4, seed=seed, dtype=dtype),
        "coarse": random_unit(volumes, 2, width, 2, 3, 2, seed=seed + 1, dtype=dtype),
        "coordinates": views.expand(volumes, *views.shape).to(dtype),
        "valid": torch.ones(volumes, 2, 1, *size),
    }


# --- golden values ----------------------------------------------------------------------------------------------------


def golden_fine_case(offset, step):
    """One volume; the file's channels are (y, x, z) of arrays (z, y, x)."""
    fine = unit(sin((2, 128, 6, 10, 10), 1, 0.0131) + sin((2, 128, 6, 10, 10), 0.6, 1.7, 0.3), 1)
    coarse = unit(sin((2, 128, 2, 3, 3), 1, 0.9, 0.2) + sin((2, 128, 2, 3, 3), 0.5, 0.21), 1)
    z, y, x = offset
    views = [grid((6, 10, 10), [4.0] * 3), grid((6, 10, 10), [step] * 3, (z, y, x))]
    coordinates = torch.stack([view[[1, 2, 0]] for view in views])
    return fine[None].requires_grad_(), coarse[None].requires_grad_(), coordinates[None], torch.ones(1, 2, 1, 6, 10, 10)


@pytest.mark.parametrize(
    ("name", "offset", "step"),
    [("fine_overlap", (4.2, 9.5, 5.0), 4.4), ("fine_no_overlap", (0.0, 500.0, 0.0), 4.0)],
)
def test_golden_fine(name, offset, step):
    golden = section("alice", "sam_loss")[name]
    fine, coarse, *rest = golden_fine_case(offset, step)
    loss = AnatomicalEmbeddingLoss(**SMALL, **FIRST, z_axis=2)(fine, coarse, *rest)["fine"]
    assert loss.item() == pytest.approx(golden["loss"], rel=1e-12)
    loss.backward()
    assert_summary(fine.grad, golden["grad_fine"])
    assert coarse.grad is None, "coarse vectors only choose"


def test_golden_coarse():
    golden = section("alice", "sam_loss")["coarse"]
    shape = (4, 128, 3, 4, 4)
    coarse = unit(sin(shape, 1, 0.0131, 0.2) + sin(shape, 0.6, 1.3), 1).unflatten(0, (2, 2)).requires_grad_()
    offsets = [(0, 0, 0), (5, 20, 10), (0, 0, 0), (8, 64, 32)]
    views = [grid((3, 4, 4), (8.0, 32.0, 32.0), offset)[[1, 2, 0]] for offset in offsets]
    coordinates = torch.stack(views).unflatten(0, (2, 2))
    method = AnatomicalEmbeddingLoss(**SMALL, **FIRST, z_axis=2)
    loss = method(coarse.detach(), coarse, coordinates, torch.ones(2, 2, 1, 3, 4, 4))["coarse"]
    assert loss.item() == pytest.approx(golden["loss"], rel=1e-12)
    loss.backward()
    assert_summary(coarse.grad, golden["grad_coarse"])


# --- a plain version --------------------------------------------------------------------------------------------------


def tokens(features, coordinates):
    """Lists of the two views of a volume without padding: features (n, E) and points (n, 3)."""
    points = F.interpolate(coordinates, features.shape[2:], mode="trilinear", align_corners=False)
    return [list(t.flatten(2).transpose(1, 2)) for t in (features, points)]


@pytest.mark.parametrize("shift", [(2.5, -3.0, 1.5), (0.0, 90.0, 0.0), (15.0, 0.0, 0.0)])
@pytest.mark.parametrize("few", [True, False])
def test_equals_the_plain_version(shift, few):
    inputs = case(shift=shift)
    settings = {"temperature": 0.4, "positive_distance": 1.5, "ignore_distance": 4.0, "candidates": 30, "anchors": 7}
    settings |= {"hard_negatives": 50, "negatives": 9} if few else {"hard_negatives": 5000, "negatives": 5000}
    coarse = {"coarse_positive_distance": 8.0, "coarse_ignore_distance": 7.0, "coarse_max_z": 2.5, "z_axis": 1}
    coarse |= {"coarse_hard_negatives": 9, "coarse_negatives": 5} if few else {"coarse_negatives": 999}
    coarse = {"coarse_hard_negatives": 999, "global_negatives": 6, **coarse}
    losses = AnatomicalEmbeddingLoss(**settings, **coarse, **FIRST)(**inputs)
    expected: dict[str, list] = {"fine": [], "coarse": []}
    for item in range(2):
        features, points = tokens(inputs["fine"][item], inputs["coordinates"][item])
        guide = F.interpolate(inputs["coarse"][item], (4, 6, 4), mode="trilinear", align_corners=False)
        guides = list(unit(guide, 1).flatten(2).transpose(1, 2))
        expected["fine"].append(plain.fine(features, guides, points, **settings))
        features, points = tokens(inputs["coarse"][item], inputs["coordinates"][item])
        elsewhere = inputs["coarse"][1 - item].flatten(2).transpose(1, 2).flatten(0, 1)
        expected["coarse"].append(plain.coarse(features, points, elsewhere, temperature=0.4, **coarse))
    for name, values in expected.items():
        torch.testing.assert_close(losses[name], torch.stack(values).mean(), rtol=1e-12, atol=0)


# --- gradients, dtypes ------------------------------------------------------------------------------------------------


def test_gradient():
    inputs = case(width=3)
    loss = AnatomicalEmbeddingLoss(**SMALL, **FIRST, z_axis=2)

    def parts(fine, coarse):
        return tuple(loss(fine, coarse, inputs["coordinates"], inputs["valid"]).values())

    leaves = (inputs["fine"].requires_grad_(), inputs["coarse"].requires_grad_())
    assert torch.autograd.gradcheck(parts, leaves, fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scalars_in_the_dtype_of_fine(dtype):
    losses = AnatomicalEmbeddingLoss(**SMALL, **FIRST)(**case(dtype=dtype))
    exact = AnatomicalEmbeddingLoss(**SMALL, **FIRST)(**case())
    for name, loss in losses.items():
        assert loss.shape == () and loss.dtype == dtype
        assert loss.item() == pytest.approx(exact[name].item(), rel=1e-5)


def test_half_embeddings_are_computed_in_full():
    inputs = case()
    half = {**inputs, "fine": inputs["fine"].half(), "coarse": inputs["coarse"].half()}
    full = {**half, "fine": half["fine"].float(), "coarse": half["coarse"].float()}
    loss = AnatomicalEmbeddingLoss(**SMALL, **FIRST)
    for ours, expected in zip(loss(**half).values(), loss(**full).values(), strict=True):
        assert ours.dtype == torch.float32 and ours == expected


# --- what is selected -------------------------------------------------------------------------------------------------


def test_ignored_tokens_are_never_selected():
    """All other tokens are ignored: with nothing to be compared with the loss is exactly 0, whatever is asked for."""
    inputs = case(volumes=1)
    losses = AnatomicalEmbeddingLoss(ignore_distance=1e4, coarse_ignore_distance=1e4)(**inputs)
    assert losses == {"fine": 0, "coarse": 0}


@pytest.mark.parametrize("shift", [(2.5, -3.0, 1.5), (0.0, 900.0, 0.0)])
def test_one_allowed_token_is_the_only_negative(shift):
    """One voxel lies far from the others; all the rest is ignored and looks just like the anchors."""
    inputs = case(volumes=1, shift=shift)
    inputs["fine"] = torch.zeros_like(inputs["fine"])
    inputs["fine"][:, :, 0] = 1
    inputs["fine"][0, 0, :, 3, 5, 3] = -inputs["fine"][0, 0, :, 0, 0, 0]
    inputs["coordinates"] = inputs["coordinates"].clone()
    inputs["coordinates"][0, 0, :, 6:, 10:, 6:] = -1e4
    fine = AnatomicalEmbeddingLoss(temperature=0.5, ignore_distance=1000.0, positive_distance=100.0)(**inputs)["fine"]
    anchor_far = 0.0
    if shift[1] > 100:  # without overlap the far voxel is an anchor itself, with the 95 others against it
        anchor_far = math.log(1 + 95 * math.exp(-4)) - math.log(1 + math.exp(-4))
    expected = math.log(1 + math.exp(-4)) + anchor_far / 96
    assert fine.item() == pytest.approx(expected, rel=1e-9)


def test_invalid_tokens_are_never_used():
    """Neither features nor coordinates of padding change a loss, were they nan; and none gets a gradient."""
    inputs = case(seed=4)
    valid = inputs["valid"].clone()
    valid[:, 0, :, 4:], valid[1, 1, :, :, 8:] = 0, 0
    spoiled = {name: inputs[name].clone() for name in ("fine", "coarse", "coordinates")}
    spoiled["fine"][:, 0, :, 2:], spoiled["fine"][1, 1, :, :, 4:] = torch.nan, torch.nan
    spoiled["coarse"][:, 0, :, 1:], spoiled["coarse"][1, 1, :, :, 2:] = 7.0, 7.0
    mask = (valid == 0).expand_as(spoiled["coordinates"])
    spoiled["coordinates"][mask] = torch.nan
    loss = AnatomicalEmbeddingLoss(**SMALL, **FIRST)
    fine, coarse = inputs["fine"].requires_grad_(), inputs["coarse"].requires_grad_()
    clean = loss(fine, coarse, inputs["coordinates"], valid)
    assert {name: value.item() for name, value in loss(**spoiled, valid=valid).items()} == {
        name: value.item() for name, value in clean.items()
    }
    sum(clean.values()).backward()
    assert not fine.grad[:, 0, :, 2:].any() and not fine.grad[1, 1, :, :, 4:].any() and fine.grad[0, 1, :, :, 4:].any()
    assert not coarse.grad[:, 0, :, 1:].any() and coarse.grad[:, 0, :, :1].any()
    assert loss(fine, coarse, inputs["coordinates"], inputs["valid"])["fine"] != clean["fine"]


def test_padding_changes_nothing():
    """A rim of invalid cells around the views, with anything in it."""
    inputs = case()

    def padded(tensor, rim, value):
        return F.pad(tensor, [rim] * 6, value=value)

    loss = AnatomicalEmbeddingLoss(**SMALL, **FIRST)
    bigger = {
        "fine": padded(inputs["fine"], 4, 0.3),
        "coarse": padded(inputs["coarse"], 2, 0.3),
        "coordinates": padded(inputs["coordinates"], 8, -50.0),
        "valid": padded(inputs["valid"], 8, 0.0),
    }
    for ours, expected in zip(loss(**bigger).values(), loss(**inputs).values(), strict=True):
        assert abs(ours - expected) < 1e-9


@pytest.mark.parametrize("views", [[0], [1], [0, 1]])
def test_views_without_valid_voxels(views):
    inputs = case(volumes=1)
    inputs["valid"][:, views] = 0
    fine, coarse = inputs["fine"].requires_grad_(), inputs["coarse"].requires_grad_()
    losses = AnatomicalEmbeddingLoss()(**inputs)
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())
    assert fine.grad.isfinite().all() and coarse.grad.isfinite().all()
    if 0 in views:
        assert losses["fine"] == 0
    assert (losses["coarse"] == 0) == (len(views) == 2)


@pytest.mark.parametrize(("edges", "used"), [((5, 12, 8), False), ((7, 12, 8), True), ((7, 11, 7), False)])
def test_a_cell_counts_when_half_of_it_is_valid(edges, used):
    """Coarse cells are four voxels long; of the last one 1/4, 3/4 and 27/64 are valid."""
    inputs = case(volumes=1, width=3)
    depth, height, width = edges
    inside = torch.zeros_like(inputs["valid"])
    inside[..., :depth, :height, :width] = 1
    coarse = inputs["coarse"].requires_grad_()
    AnatomicalEmbeddingLoss()(**{**inputs, "valid": inside})["coarse"].backward()
    assert coarse.grad[..., 1, 2, 1].any().item() == used


def test_coordinates_of_padding_are_not_read_with_weight_0_either():
    """In cells of three voxels the centre is a voxel, and the next one is read with weight 0; 0 · nan is nan."""
    inputs = case(volumes=1)
    inputs["coordinates"] = grid((12, 18, 12), (1.3, 1.0, 2.0)).expand(1, 2, 3, 12, 18, 12).clone()
    inputs["valid"] = torch.ones(1, 2, 1, 12, 18, 12)
    inputs["valid"][..., 11:] = 0
    clean = AnatomicalEmbeddingLoss(**FIRST)(**inputs)
    inputs["coordinates"][..., 11:] = torch.nan
    assert AnatomicalEmbeddingLoss(**FIRST)(**inputs) == clean


def test_volumes_meet_in_the_global_negatives_only():
    one, other = case(volumes=1, seed=0), case(volumes=1, seed=10, shift=(1.0, 2.0, 3.0))
    both = {name: torch.cat([one[name], other[name]]) for name in one}
    alone = [AnatomicalEmbeddingLoss(**SMALL, **FIRST)(**item) for item in (one, other)]
    together = AnatomicalEmbeddingLoss(**SMALL, **FIRST)(**both)
    torch.testing.assert_close(together["fine"], (alone[0]["fine"] + alone[1]["fine"]) / 2)
    assert together["coarse"] > (alone[0]["coarse"] + alone[1]["coarse"]) / 2
    apart = AnatomicalEmbeddingLoss(**{**SMALL, "global_negatives": 0}, **FIRST)(**both)
    torch.testing.assert_close(apart["coarse"], (alone[0]["coarse"] + alone[1]["coarse"]) / 2)


def test_a_call_overrides_the_permutation_for_all_volumes_or_one_by_one():
    inputs = case()
    loss = AnatomicalEmbeddingLoss(**SMALL)

    def seeded(seed):
        return lambda n: torch.randperm(n, generator=torch.Generator().manual_seed(seed))

    def value(permutation):
        return loss(**inputs, permutation=permutation)["fine"].item()

    assert value(seeded(0)) == value([seeded(0), seeded(0)]) != value([seeded(0), seeded(1)])
    assert value(torch.arange) == AnatomicalEmbeddingLoss(**SMALL, **FIRST)(**inputs)["fine"].item()
    with pytest.raises(ValueError, match="2 volumes, got 1"):
        value([seeded(0)])


def test_similar_places_cost_less_than_mixed_ones():
    """Embeddings that are a function of the place have a smaller loss than the same ones in disorder."""
    inputs = case(volumes=1)
    points = inputs["coordinates"][0]
    embedding = unit(torch.cat([(points / 4).sin(), (points / 4).cos()], dim=1), 1)
    fine = unit(F.interpolate(embedding, (4, 6, 4), mode="trilinear"), 1)[None]
    mixed = fine.flatten(3)[..., torch.randperm(96, generator=torch.Generator().manual_seed(0))].view_as(fine)
    rest = {name: inputs[name] for name in ("coarse", "coordinates", "valid")}
    loss = AnatomicalEmbeddingLoss(**FIRST)
    straight = loss(fine, **rest)["fine"]
    assert straight < loss(torch.cat([fine[:, :1], mixed[:, 1:]], dim=1), **rest)["fine"] - 0.1


@pytest.mark.parametrize(("moved", "expected"), [(0, 0.0), (1, 4.0)])
def test_match_error_is_the_distance_to_the_true_place(moved, expected):
    """Vectors that differ from cell to cell, in the second view moved by one cell of 4 mm, around the volume."""
    fine = torch.eye(64).view(64, 4, 4, 4)
    coordinates = grid((8, 8, 8), (2.0, 2.0, 2.0)).float().expand(1, 2, 3, 8, 8, 8)
    loss = AnatomicalEmbeddingLoss()
    assert loss.match_error.isnan()
    views = torch.stack([fine, fine.roll(moved, 1)])[None]
    loss(views, torch.zeros(1, 2, 64, 2, 2, 2), coordinates, torch.ones(1, 2, 1, 8, 8, 8))
    assert loss.match_error.item() == pytest.approx(expected)


def test_match_error_is_nan_where_no_views_overlap():
    loss = AnatomicalEmbeddingLoss()
    loss(**case(shift=(0.0, 900.0, 0.0)))
    assert loss.match_error.isnan()


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("fine", (2, 2, 6, 4, 7)),
        ("coarse", (2, 2, 7, 2, 3, 2)),
        ("coarse", (3, 2, 6, 2, 3, 2)),
        ("fine", (2, 3, 6, 4, 6, 4)),
        ("coordinates", (2, 2, 2, 8, 12, 8)),
        ("valid", (2, 2, 3, 8, 12, 8)),
        ("valid", (2, 2, 1, 8, 12, 9)),
    ],
)
def test_wrong_shape_is_named(name, shape):
    with pytest.raises(ValueError, match=str(shape)[1:-1]):
        AnatomicalEmbeddingLoss()(**{**case(), name: torch.zeros(shape)})


@pytest.mark.parametrize(
    "setting",
    [
        {"temperature": 0.0},
        {"positive_distance": -1.0},
        {"ignore_distance": -0.5},
        {"coarse_max_z": 0.0},
        {"anchors": 0},
        {"coarse_negatives": 0},
        {"global_negatives": -1},
        {"z_axis": 3},
    ],
)
def test_constructor_names_a_wrong_value(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name} .*{value}"):
        AnatomicalEmbeddingLoss(**setting)
