import math
from types import SimpleNamespace

import pytest
import torch
from golden_alice import section
from ignite.engine import Engine
from torch import nn

from ssl3d.engines import TeacherUpdate
from ssl3d.methods import Method


class Pair(Method):
    def __init__(self) -> None:
        super().__init__(nn.BatchNorm1d(3), teacher=True)
        with torch.no_grad():
            self.student.weight.fill_(5.0)
            self.student.running_mean.fill_(7.0)


def test_the_teacher_is_a_moving_average():
    pair = Pair()
    update = TeacherUpdate(pair, start=0.75, end=0.75)
    for expected in (2.0, 2.75):
        update(SimpleNamespace(state=SimpleNamespace(iteration=1)))
        assert pair.teacher.weight.tolist() == pytest.approx([expected] * 3)
    assert pair.teacher.running_mean.tolist() == [7.0] * 3, "buffers are copied"
    assert pair.student.weight.tolist() == [5.0] * 3 and not pair.teacher.weight.requires_grad


def test_momentum_is_half_a_cosine_of_the_iteration():
    update = TeacherUpdate(Pair(), start=0.9, end=1.0, iterations=101)
    assert [update.momentum(i) for i in (1, 51, 101, 500)] == pytest.approx([0.9, 0.95, 1.0, 1.0])
    assert update.momentum(26) == pytest.approx(1 - 0.1 * (1 + math.cos(math.pi / 4)) / 2)
    assert all(0 <= update.momentum(i) <= 1 for i in range(1, 200))
    assert TeacherUpdate(Pair()).momentum(1) == TeacherUpdate(Pair()).momentum(10**6) == 0.999


def test_golden_momentum_of_alice():
    """The release stops one step before its end: its 40 steps are the first of our 41. It takes its learning rates from
    the same schedule, the list with a warm-up; ours are the schedulers' of torch and MONAI.
    """
    expected = section("alice", "cosine_scheduler")["args (base 0.996, final 1, epochs 10, 4, no warmup)"]
    update = TeacherUpdate(Pair(), start=0.996, end=1.0, iterations=len(expected) + 1)
    momenta = [update.momentum(iteration) for iteration in range(1, len(expected) + 1)]
    assert momenta == pytest.approx(expected, rel=1e-12)


def test_once_after_each_iteration_and_a_resumed_run_goes_on():
    def run(pair, epochs, done=0):
        engine = Engine(lambda *_: pair.student.weight.data.add_(1))
        TeacherUpdate(pair, start=0.5, end=1.0, iterations=6).attach(engine)
        if done:
            engine.load_state_dict({"epoch": done, "epoch_length": 2, "max_epochs": epochs})
        engine.run([0, 1], max_epochs=epochs)
        return pair.teacher.weight.clone()

    whole, parts = Pair(), Pair()
    expected = run(whole, 3)
    run(parts, 2)
    assert torch.equal(run(parts, 3, done=2), expected) and not torch.equal(expected, Pair().teacher.weight)


@pytest.mark.parametrize(
    ("settings", "shown"), [({"start": 1.1}, "1.1"), ({"end": -0.5}, "-0.5"), ({"iterations": 0}, "got 0")]
)
def test_faults_are_named(settings, shown):
    with pytest.raises(ValueError, match=shown):
        TeacherUpdate(Pair(), **settings)
    with pytest.raises(ValueError, match="Linear has no student and teacher"):
        TeacherUpdate(nn.Linear(1, 1))
