"""GVSL: golden values at the published width, the parts of its loss, what they depend on, that it learns."""

import pytest
import torch
import torch.nn.functional as F
from golden import assert_statistics, cases
from reference.golden_gvsl import golden_features, golden_method
from reference.gvsl import released_parameters
from torch import nn

from ssl3d.geometry import affine_flow, warp_flow
from ssl3d.losses import WeightedSum
from ssl3d.methods import GVSL
from ssl3d.networks import Alignment, Features, RegistrationNet, UNet3d

EXPECTED = cases("gvsl")["gvsl_forward_32x32x32"]["expected"]
PARTS = {"ncc", "smoothness", "restoration"}
TOTAL = WeightedSum({"ncc": 1, "smoothness": 1, "restoration": 1})


def small_method(seed=0, channels=(8, 16, 16), stride=2):
    torch.manual_seed(seed)
    return GVSL(RegistrationNet(UNet3d(1, channels, stride), affine_channels=16, flow_channels=8))


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def random_views(*shape):
    views = {name: random(*shape, seed=seed) for seed, name in enumerate(("fixed", "corrupted", "moving"))}
    return {**views, "valid": torch.ones(shape)}


# --- golden values ----------------------------------------------------------------------------------------------------


def test_size_at_the_published_width():
    method = golden_method()
    count = {name: sum(p.numel() for p in module.parameters()) for name, module in method.student.named_children()}
    assert count["backbone"] == 23_538_144
    assert sum(p.numel() for p in method.restoration.parameters()) == 13_889
    assert sum(p.numel() for p in method.parameters()) == 32_440_739


def test_golden_restoration_at_the_published_width():
    fixed, _ = golden_features()
    with torch.no_grad():
        assert_statistics(golden_method().restoration(fixed.decoder[-1]), EXPECTED["res_A"], rtol=1e-4, atol=2e-3)


def test_the_affine_head_receives_a_gradient_from_the_default_start():
    """In the release these 16 tensors never learn (its code rebuilds the matrix from numbers)."""
    torch.manual_seed(0)
    method = GVSL(RegistrationNet(UNet3d(1, (8, 16, 16, 24, 32), stem_stride=1)))
    TOTAL(method(random_views(1, 1, 16, 32, 24))).backward()
    gradients = {name: parameter.grad for name, parameter in released_parameters(method)}
    names = EXPECTED["params_without_grad"]
    assert len(names) == 16
    for name in names:
        assert gradients[name] is not None and gradients[name].norm() > 1e-7, name
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())


# --- parts of the loss ------------------------------------------------------------------------------------------------


def test_parts_are_scalars_with_gradient_and_displacement_is_a_monitor():
    parts = small_method()(random_views(2, 1, 16, 16, 16))
    assert set(parts) == {*PARTS, "displacement"}
    assert all(part.shape == () and part.isfinite() for part in parts.values())
    assert all(parts[name].requires_grad for name in PARTS)
    assert not parts["displacement"].requires_grad


@pytest.mark.parametrize("stride", [1, 2])
def test_every_parameter_gets_a_gradient(stride):
    method = small_method(stride=stride)
    TOTAL(method(random_views(1, 1, 16, 16, 16))).backward()
    silent = [name for name, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


@pytest.mark.parametrize("level", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("valid", [1.0, 0.0])
def test_flat_images_have_finite_parts_and_gradients(level, valid):
    method = small_method()
    views = {name: torch.full((1, 1, 16, 16, 16), level) for name in ("fixed", "corrupted", "moving")}
    parts = method({**views, "valid": torch.full((1, 1, 16, 16, 16), valid)})
    TOTAL(parts).backward()
    assert all(part.isfinite() for part in parts.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())
    if not valid:
        assert all(part == 0 for part in parts.values())


def test_the_network_sees_the_corrupted_volume_and_the_target_is_the_clean_one():
    method, views = small_method(), random_views(1, 1, 16, 16, 16)
    other_target = {**views, "fixed": random(1, 1, 16, 16, 16, seed=9)}
    other_input = {**views, "corrupted": random(1, 1, 16, 16, 16, seed=9)}
    first, same, other = (method.predict(v) for v in (views, other_target, other_input))
    torch.testing.assert_close(first.restored, same.restored)
    torch.testing.assert_close(first.alignment.flow, same.alignment.flow)
    assert (first.restored - other.restored).abs().max() > 1e-3
    parts, others = method(views), method(other_target)
    assert (parts["ncc"] - others["ncc"]).abs() > 1e-5 and (parts["restoration"] - others["restoration"]).abs() > 1e-5
    assert parts["smoothness"] == others["smoothness"]


def test_the_moving_volume_is_sampled_once_on_the_fixed_one():
    method, views = small_method(), random_views(1, 1, 16, 16, 16)
    nn.init.constant_(method.student.head.affine.translation.bias, 1.5)
    alignment, warped, restored = method.predict(views)
    direct = method.student.decompose(torch.cat([views["moving"], views["corrupted"]], dim=1))
    for ours, expected in zip(alignment, direct, strict=True):
        torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(warped, warp_flow(views["moving"], direct.flow))
    torch.testing.assert_close(restored, method.restoration(method.student.backbone(views["corrupted"]).decoder[-1]))


class FixedStudent(nn.Module):
    """Gives one alignment and one finest map, whatever it is shown."""

    def __init__(self, alignment: Alignment, fine: torch.Tensor) -> None:
        super().__init__()
        self.alignment, self.fine = alignment, fine

    def backbone(self, image: torch.Tensor) -> Features:
        return Features([self.fine], [self.fine])

    def head(self, moving: Features, fixed: Features) -> Alignment:
        return self.alignment


def with_fixed_student(method, flow, fine):
    del method.student
    matrix = torch.eye(3, 4).expand(len(flow), 3, 4)
    method.student = FixedStudent(Alignment(matrix, flow, flow), fine)
    method.restoration = nn.Identity()
    return method


@pytest.mark.parametrize("filling", [0.0, 0.8])
def test_padding_changes_no_part(filling):
    """16 voxels of padding with anything in it, the predictions inside being the same."""
    shape, rim = (2, 1, 12, 11, 10), [16] * 6
    views, restored = random_views(*shape), random(*shape, seed=5)
    # At most one voxel, and none at the border: samples stay within the volume, beyond which the padding differs.
    flow = F.pad(2 * random(2, 3, 10, 9, 8, seed=6) - 1, [1] * 6)
    plain = with_fixed_student(small_method(), flow, restored)(views)
    padded_views = {name: F.pad(view, rim, value=filling) for name, view in views.items() if name != "valid"}
    padded_views["valid"] = F.pad(views["valid"], rim)
    padded_student = F.pad(flow, rim, value=filling), F.pad(restored, rim, value=-filling)
    padded = with_fixed_student(small_method(), *padded_student)(padded_views)
    for name, part in plain.items():
        assert part > 1e-3, name
        assert abs(padded[name] - part) <= 1e-6, name


def test_the_affine_part_costs_no_smoothness():
    views = random_views(1, 1, 8, 8, 8)
    matrix = torch.eye(3, 4)[None] * 1.2
    method = with_fixed_student(small_method(), torch.zeros(1, 3, 8, 8, 8), views["fixed"])
    method.student.alignment = method.student.alignment._replace(matrix=matrix, flow=affine_flow(matrix, (8, 8, 8)))
    moved = method(views)
    assert moved["smoothness"] == 0 and moved["displacement"] > 0.5


def test_displacement_is_the_mean_length_over_valid_voxels():
    views = random_views(1, 1, 8, 8, 8)
    views["valid"][:, :, 4:] = 0
    flow = torch.zeros(1, 3, 8, 8, 8)
    flow[:, 1], flow[:, 2], flow[:, :, 4:] = 3, 4, 100
    assert with_fixed_student(small_method(), flow, views["fixed"])(views)["displacement"].item() == pytest.approx(5)


def test_the_loss_of_a_batch_is_the_mean_over_its_items():
    method, views = small_method(), random_views(2, 1, 16, 16, 16)
    views["valid"][1, :, 8:] = 0
    together = method(views)
    alone = [method({name: view[item : item + 1] for name, view in views.items()}) for item in (0, 1)]
    for name in PARTS:
        assert abs(alone[0][name] - alone[1][name]) > 1e-6, name
        torch.testing.assert_close(together[name], (alone[0][name] + alone[1][name]) / 2, rtol=1e-4, atol=1e-6)


def test_pictures_are_volumes():
    views = random_views(2, 1, 16, 16, 16)
    pictures = small_method().pictures(views)
    assert list(pictures) == ["moving", "warped", "fixed", "corrupted", "restored"]
    assert all(picture.shape == (2, 1, 16, 16, 16) for picture in pictures.values())
    assert torch.equal(pictures["moving"], views["moving"])


def ellipsoid(size, centre):
    """A bright ellipsoid with a soft edge, (1, 1, D, H, W)."""
    grid = torch.stack(torch.meshgrid([torch.arange(float(side)) for side in size], indexing="ij"))
    scaled = (grid - torch.tensor(centre).view(3, 1, 1, 1)) / torch.tensor([6.0, 5, 4.5]).view(3, 1, 1, 1)
    return torch.sigmoid(8 * (1 - scaled.norm(dim=0)))[None, None]


def test_it_learns_to_register_and_restore_one_pair():
    size = (24, 24, 24)
    fixed, moving = ellipsoid(size, [11.0, 12, 12]), ellipsoid(size, [14.0, 10, 12])
    corrupted = fixed.clone()
    corrupted[:, :, 8:12, 12:15, 10:14] = 0
    views = {"fixed": fixed, "corrupted": corrupted, "moving": moving, "valid": torch.ones_like(fixed)}
    method = small_method()
    optimizer = torch.optim.Adam(method.parameters(), lr=3e-3)

    def dice():
        inside, wanted = method.predict(views).warped > 0.5, fixed > 0.5
        return (2 * (inside & wanted).sum() / (inside.sum() + wanted.sum())).item()

    before, history = dice(), []
    for _ in range(50):
        parts = method(views)
        optimizer.zero_grad()
        TOTAL(parts).backward()
        optimizer.step()
        history.append({name: part.item() for name, part in parts.items()})
    assert before < 0.6 and dice() > 0.8
    assert history[-1]["ncc"] < 0.6 * history[0]["ncc"]
    assert history[-1]["restoration"] < 0.1 * history[0]["restoration"]
    assert history[-1]["displacement"] > 1
