"""Self-distillation: golden values, a plain version, the centre, what counts and what does not."""

import math

import pytest
import torch
from golden_alice import assert_summary, cos, section, sin
from reference import alice as plain

from ssl3d.losses import SelfDistillationLoss, teacher_temperature

TEMPERATURE = 0.04


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


# --- golden values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["loss_b1", "loss_b2_epoch1"])
def test_golden(case):
    golden = section("alice", case)
    rows = 2 * golden["config"]["B_per_view"]
    across, within = SelfDistillationLoss(6), SelfDistillationLoss(6, pairing="same")
    for expected in golden["steps"]:
        s = expected["step"]
        student = sin((rows, 6), 0.6, 0.7, 0.1 * s).requires_grad_()
        teacher = cos((rows, 6), 0.05, 0.9, 0.2 * s)
        tokens = sin((rows, 3, 6), 0.8, 0.41, 0.3 * s).requires_grad_()
        targets = cos((rows, 3, 6), 0.04, 0.53, 0.1 * s)
        temperature = golden["teacher_temp_used"]
        losses = (
            across(student, teacher, teacher_temperature=temperature),
            within(tokens, targets, teacher_temperature=temperature),
        )
        assert losses[0].item() == pytest.approx(expected["cls"], rel=1e-10)
        assert losses[1].item() == pytest.approx(expected["patch"], rel=1e-10)
        sum(losses).backward()
        torch.testing.assert_close(student.grad, torch.tensor(expected["grad_student_cls"]).double())
        assert_summary(tokens.grad, expected["grad_student_patch"])
        for loss, center in ((across, expected["center_after"]), (within, expected["center2_after"])):
            torch.testing.assert_close(loss.center, torch.tensor(center, dtype=torch.float64).flatten())


def test_golden_schedules():
    golden = section("alice", "temp_schedules")
    for epoch, value in golden["default(0.008->0.01 in 30 epochs, 1000)"].items():
        assert teacher_temperature(int(epoch)) == pytest.approx(value, rel=1e-12)
    settings = {"start": 0.04, "end": 0.07, "warmup_epochs": 5}
    for epoch, value in enumerate(golden["cls 0.04->0.07 wu5 n20"]):
        assert teacher_temperature(epoch, **settings) == pytest.approx(value, rel=1e-12)
    for epoch, value in enumerate(golden["patch 0.04->0.07 wu5 n20 mim_start 3"]):
        assert teacher_temperature(max(epoch - 3, 0), **settings) == pytest.approx(value, rel=1e-12)


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pairing", ["cross", "same"])
@pytest.mark.parametrize("shape", [(6, 5), (6, 4, 5)])
def test_equals_the_plain_version(pairing, shape):
    loss = SelfDistillationLoss(5, pairing=pairing, student_temperature=0.3).eval()
    loss.center += random(5, seed=2)
    student, teacher = random(*shape), random(*shape, seed=1)
    expected = plain.self_distillation(student, teacher, loss.center, pairing, 0.3, TEMPERATURE)
    torch.testing.assert_close(loss(student, teacher, teacher_temperature=TEMPERATURE), expected)


@pytest.mark.parametrize("pairing", ["cross", "same"])
def test_gradient(pairing):
    loss = SelfDistillationLoss(5, pairing=pairing).eval()
    student, teacher = random(4, 3, 5).requires_grad_(), random(4, 3, 5, seed=1)
    valid = random(4, 3, seed=2) > -0.5
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, teacher_temperature=TEMPERATURE, valid=valid), student)


def test_the_teacher_receives_no_gradient():
    student, teacher = random(4, 5).requires_grad_(), random(4, 5, seed=1).requires_grad_()
    SelfDistillationLoss(5)(student, teacher, teacher_temperature=TEMPERATURE).backward()
    assert student.grad.any() and teacher.grad is None


def test_which_row_predicts_which():
    """A student that gives what the teacher gives for the other view has the smallest loss across, not within."""
    teacher = torch.eye(4, dtype=torch.float64) * 5
    other = teacher.roll(2, 0)
    for pairing, right, wrong in (("cross", other, teacher), ("same", teacher, other)):
        loss = SelfDistillationLoss(4, pairing=pairing, student_temperature=1.0).eval()
        values = [loss(student, teacher, teacher_temperature=0.1).item() for student in (right, wrong)]
        assert values[0] < 0.1 and values[1] > 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scalar_in_the_dtype_of_student(dtype):
    loss = SelfDistillationLoss(5)
    student, teacher = random(4, 5, dtype=dtype), random(4, 5, seed=1, dtype=dtype)
    for _ in range(2):
        value = loss(student, teacher, teacher_temperature=TEMPERATURE)
        assert value.shape == () and value.dtype == dtype
    assert loss.center.shape == (5,)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_outputs_are_computed_in_full(half):
    """Outputs of 700 over a temperature of 0.008 exceed float16."""
    student, teacher = (700 * random(4, 5)).to(half), (700 * random(4, 5, seed=1)).to(half)
    values = [
        SelfDistillationLoss(5)(s, t, teacher_temperature=0.008)
        for s, t in ((student, teacher), (student.float(), teacher.float()))
    ]
    assert values[0].dtype == torch.float32 and values[0].isfinite() and values[0] == values[1]


# --- the centre -------------------------------------------------------------------------------------------------------


def test_the_centre_is_used_before_it_moves_and_moves_in_training_only():
    loss = SelfDistillationLoss(5, center_momentum=0.7)
    assert not loss.center.any() and "center" in loss.state_dict()
    student, teacher = random(4, 3, 5), 0.1 * random(4, 3, 5, seed=1)
    fresh = SelfDistillationLoss(5).eval()
    first = loss(student, teacher, teacher_temperature=TEMPERATURE)
    assert first == fresh(student, teacher, teacher_temperature=TEMPERATURE)
    torch.testing.assert_close(loss.center, 0.3 * teacher.mean((0, 1)))
    assert not fresh.center.any()
    second = loss(student, teacher, teacher_temperature=TEMPERATURE)
    assert second != first
    torch.testing.assert_close(loss.center, (0.3 + 0.21) * teacher.mean((0, 1)))


def test_outputs_shifted_with_the_centre_give_the_same_loss():
    student, teacher, shift = random(4, 5), random(4, 5, seed=1), random(5, seed=2)
    loss = SelfDistillationLoss(5).eval()
    plainly = loss(student, teacher, teacher_temperature=TEMPERATURE)
    loss.center += shift
    torch.testing.assert_close(loss(student, teacher + shift, teacher_temperature=TEMPERATURE), plainly)


# --- what counts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float64])
def test_invalid_tokens_change_nothing(dtype):
    student, teacher = random(4, 3, 5), random(4, 3, 5, seed=1)
    valid = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]]).to(dtype)
    spoiled = [torch.where(valid[..., None] > 0, t, 9.0) for t in (student, teacher)]
    losses = [SelfDistillationLoss(5, pairing="same") for _ in range(2)]
    values = [
        loss(*pair, teacher_temperature=TEMPERATURE, valid=valid)
        for loss, pair in zip(losses, ((student, teacher), spoiled), strict=True)
    ]
    assert values[0] == values[1]
    assert torch.equal(losses[0].center, losses[1].center)
    torch.testing.assert_close(losses[0].center, 0.1 * teacher[valid > 0].mean(0))
    rows = [
        plain.self_distillation(s[None, w > 0], t[None, w > 0], torch.zeros(5), "same", 0.1, TEMPERATURE)
        for s, t, w in zip(student[:3], teacher[:3], valid[:3], strict=True)
    ]
    torch.testing.assert_close(values[0], sum(rows) / 4)


def test_a_pair_across_counts_when_both_rows_are_valid():
    student, teacher = random(4, 5), random(4, 5, seed=1)
    loss = SelfDistillationLoss(5).eval()
    valid = torch.tensor([1, 0, 1, 1])
    kept = loss(student[[0, 2]], teacher[[0, 2]], teacher_temperature=TEMPERATURE)
    torch.testing.assert_close(loss(student, teacher, teacher_temperature=TEMPERATURE, valid=valid), kept / 2)


def test_nothing_valid_is_0_and_leaves_the_centre():
    loss, student = SelfDistillationLoss(5, pairing="same"), random(4, 3, 5).requires_grad_()
    value = loss(student, random(4, 3, 5), teacher_temperature=TEMPERATURE, valid=torch.zeros(4, 3))
    value.backward()
    assert value == 0 and not student.grad.any() and not loss.center.any()


def test_items_do_not_change_each_other():
    student, teacher = random(6, 5), random(6, 5, seed=1)
    loss = SelfDistillationLoss(5).eval()
    pairs = [loss(student[[i, i + 3]], teacher[[i, i + 3]], teacher_temperature=TEMPERATURE) for i in range(3)]
    torch.testing.assert_close(loss(student, teacher, teacher_temperature=TEMPERATURE), torch.stack(pairs).mean())


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "named"),
    [
        ([(4, 6), (4, 6)], r"\(4, 6\)"),
        ([(3, 5), (3, 5)], r"\(3, 5\)"),
        ([(4, 5), (2, 5)], r"\(2, 5\)"),
        ([(4, 2, 3, 5), (4, 2, 3, 5)], r"\(4, 2, 3, 5\)"),
        ([(4, 2, 5), (4, 2, 5), (4, 3)], r"\(4, 3\)"),
    ],
)
def test_wrong_shape_is_named(shapes, named):
    tensors = [torch.zeros(shape) for shape in shapes]
    with pytest.raises(ValueError, match=named):
        SelfDistillationLoss(5)(*tensors[:2], teacher_temperature=1.0, valid=tensors[2] if len(tensors) > 2 else None)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_wrong_temperature_is_named(temperature):
    with pytest.raises(ValueError, match=f"teacher_temperature .*{temperature}"):
        SelfDistillationLoss(5)(torch.zeros(2, 5), torch.zeros(2, 5), teacher_temperature=temperature)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("out_dim", 0), ("pairing", "both"), ("student_temperature", 0.0), ("center_momentum", 1.5)],
)
def test_constructor_names_a_wrong_value(setting, value):
    with pytest.raises(ValueError, match=f"{setting} .*{value}"):
        SelfDistillationLoss(**{"out_dim": 5, setting: value})


@pytest.mark.parametrize(("warmup", "values"), [(0, [0.01, 0.01]), (1, [0.008, 0.01, 0.01]), (2, [0.008, 0.01])])
def test_short_warmups(warmup, values):
    assert [teacher_temperature(epoch, warmup_epochs=warmup) for epoch in range(len(values))] == values


@pytest.mark.parametrize("setting", [{"epoch": -1}, {"warmup_epochs": -1}, {"start": 0.0}, {"end": -1.0}])
def test_schedule_names_a_wrong_value(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name}.*{value}"):
        teacher_temperature(**{"epoch": 0, **setting})
