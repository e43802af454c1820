import pytest
import torch
from golden import cases

from ssl3d.geometry import affine_matrix, warp_affine

CASES = [case for name, case in cases("gvsl").items() if name.startswith("affmat_")]


def parameters(case, dtype=torch.float64):
    names = ("rot_xyz", "scale_xyz", "translate_xyz", "shear_xy_xz_yx_yz_zx_zy")
    return [torch.tensor([case["inputs"][name]], dtype=dtype) for name in names]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_golden_matrices(case):
    expected = torch.tensor([case["expected"]["analytic_f64"]], dtype=torch.float64)
    torch.testing.assert_close(affine_matrix(*parameters(case)), expected, rtol=1e-8, atol=1e-10)
    single = affine_matrix(*parameters(case, torch.float32))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, expected.float(), rtol=1e-4, atol=1e-5)


def test_golden_cases_are_found():
    assert len(CASES) >= 8


def test_gradients_reach_all_four_parameters():
    generator = torch.Generator().manual_seed(0)
    values = [0.3 * torch.rand(2, n, generator=generator, dtype=torch.float64) + 0.1 for n in (3, 3, 3, 6)]
    assert torch.autograd.gradcheck(affine_matrix, [value.requires_grad_() for value in values])


def test_batch_items_are_independent():
    general = next(case for case in CASES if case["id"] == "affmat_general")
    identity = next(case for case in CASES if case["id"] == "affmat_identity")
    both = [torch.cat(pair) for pair in zip(parameters(identity), parameters(general), strict=True)]
    assert torch.equal(affine_matrix(*both)[1:], affine_matrix(*parameters(general)))


def test_rotation_about_x_turns_h_towards_w():
    """Rows 0, 1, 2 are D, H, W: a quarter turn about x keeps D and exchanges H and W."""
    image = torch.rand(1, 1, 3, 5, 5, dtype=torch.float64)
    zeros = torch.zeros(1, 3, dtype=torch.float64)
    quarter = torch.tensor([[torch.pi / 2, 0, 0]], dtype=torch.float64)
    matrix = affine_matrix(quarter, zeros + 1, zeros, torch.zeros(1, 6, dtype=torch.float64))
    # out(h, w) = in(-w, h) about the centre
    torch.testing.assert_close(warp_affine(image, matrix), image.flip(3).transpose(3, 4))


@pytest.mark.parametrize("position", range(4))
def test_wrong_shape_is_named(position):
    values = [torch.zeros(2, n) for n in (3, 3, 3, 6)]
    values[position] = torch.zeros(2, 5)
    with pytest.raises(ValueError, match=r"\(2, 5\)"):
        affine_matrix(*values)
    values[position] = torch.zeros(1, 1, 3)
    with pytest.raises(ValueError, match=r"got"):
        affine_matrix(*values)
