"""Alice: the parts of its loss, what they depend on, student and teacher, monitors, that it learns."""

import math

import pytest
import torch
import torch.nn.functional as F

from ssl3d.losses import SelfDistillationLoss, WeightedSum
from ssl3d.methods import Alice, AliceBranch
from ssl3d.methods.alice import by_view
from ssl3d.methods.token_monitors import effective_rank
from ssl3d.networks import CrossAttentionAlignment, ProjectionHead, UNet3d

PARTS = ("inter", "intra", "reconstruction")
TOTAL = WeightedSum(dict.fromkeys(PARTS, 1))
SIZE = (16, 8, 24)


def small_method(seed=0, epoch_length=2, dropout=0.0, channels=1, **options):
    torch.manual_seed(seed)
    backbone = UNet3d(channels, (8, 16, 16), 2)  # coarsest stride 8
    head = ProjectionHead(16, 16, out_dim=10, patch_dim=12, hidden_dim=16, bottleneck_dim=8)
    return Alice(AliceBranch(backbone, head), CrossAttentionAlignment(12, 2, 6, 16, dropout), epoch_length, **options)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def random_views(batch=2, channels=1, seed=0, size=SIZE):
    image = random(batch, 2, channels, *size, seed=seed)
    hidden = (random(batch, 2, 1, *size, seed=seed + 1) < 0.6).float()
    views = {"image": image, "masked": image * (1 - hidden), "target": 0.9 * image + 0.05, "hidden": hidden}
    pairs = {"score": torch.linspace(0.4, 0.8, batch), "copy": (torch.arange(batch) == 0).float()}
    return {**views, "valid": torch.ones(batch, 2, 1, *size), **pairs}


OPTIONS = [{}, {"target_source": "encoder"}, {"casa_ema": True}, {"casa_ema": True, "target_source": "encoder"}]


@pytest.mark.parametrize("options", OPTIONS)
def test_parts_are_scalars_and_all_of_the_student_gets_a_gradient_and_nothing_of_the_teacher(options):
    method = small_method(channels=2, **options)
    parts = method(random_views(channels=2))
    monitors = {"agreement", "target_entropy", "feature_rank", "pair_score", "fallback"}
    assert set(parts) == {*PARTS, *monitors}
    assert all(part.shape == () and part.isfinite() for part in parts.values())
    assert all(parts[name].requires_grad == (name in PARTS) for name in parts)
    TOTAL(parts).backward()
    silent = {name for name, p in method.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert silent == {f"teacher.{name}" for name, _ in method.teacher.named_parameters()}


def test_the_teacher_has_the_student_s_keys_and_starts_equal_and_apart():
    for options in OPTIONS:
        method = small_method(**options)
        student, teacher = method.student.state_dict(), method.teacher.state_dict()
        assert list(student) == list(teacher)
        assert all(torch.equal(student[key], teacher[key]) for key in student)
        assert all(student[key].data_ptr() != teacher[key].data_ptr() for key in student)
        assert any(key.startswith("casa.") for key in teacher) == bool(options.get("casa_ema"))
    method.train()
    assert method.student.training and not method.teacher.training


def test_everything_that_training_goes_on_from_is_in_the_state():
    method, views = small_method(epoch_length=1, warmup_epochs=5), random_views()
    for _ in range(3):
        TOTAL(method(views))
    resumed = small_method(seed=1, epoch_length=1, warmup_epochs=5)
    resumed.load_state_dict(method.state_dict())
    expected = method(views)
    for name, part in resumed(views).items():
        assert torch.equal(part, expected[name]), name
    assert resumed.steps == 4


def test_the_parts_are_those_of_the_losses():
    method, views = small_method().eval(), random_views()
    views["valid"][1, 0, :, :, :, 8:] = 0
    parts, predictions = method(views), method.predict(views)
    loss = SelfDistillationLoss(10).eval()
    expected = loss(predictions.student.whole, predictions.teacher.whole, teacher_temperature=0.008)
    torch.testing.assert_close(parts["inter"], expected)
    cells = torch.ones(4, 6)
    cells.view(4, 2, 1, 3)[1, :, :, 1:] = 0
    loss = SelfDistillationLoss(12, pairing="same").eval()
    expected = loss(predictions.completed, predictions.target, teacher_temperature=0.008, valid=cells)
    torch.testing.assert_close(parts["intra"], expected)
    counted = by_view(views["hidden"] * views["valid"]).bool()
    squares = (predictions.restored - by_view(views["image"])).square()
    means = torch.stack([square[where].mean() for square, where in zip(squares, counted, strict=True)])
    torch.testing.assert_close(parts["reconstruction"], means.mean())
    assert parts["pair_score"].item() == pytest.approx(0.6) and parts["fallback"] == 0.5


def test_the_student_sees_the_masked_crops_and_the_teacher_the_augmented_whole_ones():
    method, views = small_method().eval(), random_views()
    base = method.predict(views)
    other = random_views(seed=7)
    masked = method.predict({**views, "masked": other["masked"]})
    target = method.predict({**views, "target": other["target"]})
    image = method.predict({**views, "image": other["image"]})
    assert not torch.equal(masked.student.whole, base.student.whole)
    assert torch.equal(masked.teacher.whole, base.teacher.whole)
    assert torch.equal(target.student.whole, base.student.whole) and torch.equal(target.restored, base.restored)
    assert not torch.equal(target.teacher.whole, base.teacher.whole)
    assert all(torch.equal(*pair) for pair in zip(image.completed, base.completed, strict=True))


def test_rows_are_first_views_and_then_second_ones():
    views = random_views(3)
    rows = by_view(views["image"])
    assert torch.equal(rows[:3], views["image"][:, 0]) and torch.equal(rows[3:], views["image"][:, 1])


def test_where_the_target_tokens_come_from():
    """The encoder map of the teacher reaches the target either way, its decoder map by one way only."""
    views = random_views()
    for source in ("encoder", "decoder"):
        method = small_method(target_source=source).eval()
        before = method.predict(views).target
        with torch.no_grad():
            method.teacher.projection.decoder_in.bias += 3
        assert torch.equal(method.predict(views).target, before) == (source == "encoder")


def test_who_reads_the_target():
    """Without a moving average a change of CASA moves the target; with one it does not, before the teacher follows."""
    views = random_views()
    for ema in (False, True):
        method = small_method(casa_ema=ema).eval()
        before = method.predict(views)
        with torch.no_grad():
            (method.student.casa if ema else method.casa).linear2.bias += torch.arange(12)
        after = method.predict(views)
        assert not torch.equal(after.completed, before.completed)
        assert torch.equal(after.target, before.target) == ema


def test_the_temperature_follows_the_epochs_that_have_been_trained():
    method, views = small_method(epoch_length=2, warmup_epochs=2), random_views()
    seen = []
    method.inter.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["teacher_temperature"]), with_kwargs=True
    )
    for _ in range(4):
        method(views)
    method.eval()
    method(views)
    assert seen == [0.008, 0.008, 0.01, 0.01, 0.01] and method.steps == 4


def test_padding_counts_nowhere():
    """Nothing valid: no reconstruction, no cells, finite gradients."""
    method, views = small_method(), random_views()
    parts = method({**views, "valid": torch.zeros_like(views["valid"])})
    TOTAL(parts).backward()
    assert parts["intra"] == parts["reconstruction"] == 0 and parts["feature_rank"] == 1
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def test_agreement_is_the_share_of_equal_strongest_outputs():
    method = small_method().eval()
    predictions = method.predict(random_views(4))
    cells = torch.ones(8, 6, dtype=torch.bool)
    eye = 0.5 * torch.eye(10)
    teacher = predictions.teacher._replace(whole=eye[[0, 1, 2, 3, 9, 9, 9, 9]])
    student = predictions.student._replace(whole=eye[[8, 8, 8, 8, 0, 1, 7, 7]])
    monitors = method._monitors(predictions._replace(teacher=teacher, student=student), 0.01, cells)
    assert monitors["agreement"] == 0.5 and monitors["target_entropy"] < 1e-3
    flat = predictions._replace(teacher=teacher._replace(whole=torch.zeros(8, 10)))
    assert method._monitors(flat, 0.01, cells)["target_entropy"].item() == pytest.approx(math.log(10))


def test_effective_rank_counts_directions():
    assert effective_rank(torch.ones(9, 4)) == 1
    assert effective_rank(torch.linspace(-1, 1, 9)[:, None] * torch.ones(4)).item() == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.cat([torch.eye(4), -torch.eye(4)])).item() == pytest.approx(4)


def test_pictures_are_volumes_and_keep_what_is_visible():
    method, views = small_method().eval(), random_views()
    pictures = method.pictures(views)
    assert list(pictures) == ["query crop", "matched crop", "masked", "reconstruction"]
    assert all(picture.shape == (2, 1, *SIZE) for picture in pictures.values())
    visible = (views["hidden"] * views["valid"])[:, 0] == 0
    assert torch.equal(pictures["reconstruction"][visible], pictures["query crop"][visible])
    assert torch.equal(pictures["masked"].isnan(), ~visible)
    assert torch.equal(pictures["matched crop"], views["image"][:, 1])


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"target_source .*'both'"):
        small_method(target_source="both")
    with pytest.raises(ValueError, match=r"epoch_length .*0"):
        small_method(epoch_length=0)
    branch = AliceBranch(UNet3d(1, (8, 16, 16)), ProjectionHead(16, 16, patch_dim=12))
    with pytest.raises(ValueError, match="length 8, the head's patch_dim is 12"):
        Alice(branch, CrossAttentionAlignment(8, 2, 4, 8), 1)
    views = random_views(size=(16, 12, 24))
    with pytest.raises(ValueError, match=r"multiples of 8, got \(2, 2, 1, 16, 12, 24\)"):
        small_method()(views)


def test_it_learns():
    """With a teacher that follows, on one pair of smooth crops."""
    method = small_method()
    image = F.interpolate(random(4, 1, 4, 2, 6), SIZE, mode="trilinear").view(2, 2, 1, *SIZE)
    hidden = F.interpolate((random(4, 1, 4, 2, 6, seed=1) < 0.5).float(), SIZE).view(2, 2, 1, *SIZE)
    views = {**random_views(), "image": image, "masked": image * (1 - hidden), "target": image, "hidden": hidden}
    trained = [p for p in method.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=5e-3)
    first = method(views)
    for _ in range(30):
        optimizer.zero_grad()
        TOTAL(method(views)).backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(method.teacher.parameters(), method.student.parameters(), strict=True):
                slow.lerp_(fast, 0.01)
    last = method(views)
    assert last["reconstruction"] < 0.5 * first["reconstruction"] and TOTAL(last) < TOTAL(first)
