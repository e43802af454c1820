"""The preview picture."""

import tracemalloc
import weakref

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from matplotlib.image import imread

from ssl3d.tasks.segmentation import preview as preview_module
from ssl3d.tasks.segmentation.preview import Preview

HISTORY = "epoch,steps,seconds,learning_rate,loss,val_mean_dice\n1,5,1,0.1,0.9,\n2,10,1,0.1,0.5,0.4\n"


def case(name: str, shift: int, synthetic: bool) -> tuple[dict, dict]:
    label = torch.zeros(8, 10, 12, dtype=torch.long)
    label[2:5, 3:6, 4:8], label[2:5, 6:8, 4:8] = 1, 2
    one_hot = torch.nn.functional.one_hot(label, 3).movedim(-1, 0)
    image = torch.rand(1, 8, 10, 12, generator=torch.Generator().manual_seed(0)) + label
    item = {"name": name} | ({"synthetic": True} if synthetic else {})
    return item, {"image": image, "label": one_hot, "pred": one_hot.roll(shift, dims=1)}


def engine(rank: int = 0) -> Engine:
    made = Engine(lambda engine, batch: None)
    made.state.rank = rank
    return made


@pytest.fixture
def draws(monkeypatch) -> list:
    calls: list = []
    draw = preview_module.draw
    monkeypatch.setattr(preview_module, "draw", lambda *arguments: calls.append(arguments) or draw(*arguments))
    return calls


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_median_case_is_drawn_and_synthetic_data_are_named(tmp_path, draws, synthetic):
    (tmp_path / "history.csv").write_text(HISTORY)
    evaluator, trainer = engine(), engine()
    Preview(tmp_path, evaluator, ["head", "tail"]).attach(trainer)
    evaluator.state.epoch = trainer.state.epoch = 2
    evaluator.fire_event(Events.EPOCH_STARTED)
    for name, shift in (("worst", 3), ("best", 0), ("median", 1)):
        item, output = case(name, shift, synthetic)
        evaluator.state.batch, evaluator.state.output = [item], [output]
        evaluator.fire_event(Events.ITERATION_COMPLETED)
    trainer.fire_event(Events.EPOCH_COMPLETED)
    assert len(draws) == 1
    title, spacing = draws[0][-2:]
    assert title.endswith("median case median") and spacing == [1, 1, 1]
    assert ("mechanics only: synthetic" in title) == synthetic
    assert (draws[0][2] > 0).sum() == 3 * 5 * 4
    picture = imread(tmp_path / "preview.png")
    assert min(picture.shape[:2]) >= 600 and max(picture.shape[:2]) <= 1400
    colours = {tuple(np.round(c * 255).astype(int)) for c in picture[..., :3].reshape(-1, 3)}
    assert (230, 159, 0) in colours, "the first structure's contour"
    assert (86, 180, 233) in colours, "the second's"


def test_a_picture_that_fails_costs_no_run(tmp_path, monkeypatch, caplog):
    (tmp_path / "history.csv").write_text(HISTORY)
    evaluator, trainer = engine(), engine()
    Preview(tmp_path, evaluator, ["head", "tail"]).attach(trainer)
    evaluator.state.epoch = trainer.state.epoch = 2
    evaluator.fire_event(Events.EPOCH_STARTED)
    item, output = case("one", 0, False)
    evaluator.state.batch, evaluator.state.output = [item], [output]
    evaluator.fire_event(Events.ITERATION_COMPLETED)
    monkeypatch.setattr(preview_module, "draw", lambda *_: 1 / 0)
    trainer.fire_event(Events.EPOCH_COMPLETED)
    assert "preview.png was not drawn: ZeroDivisionError" in caplog.text
    assert not (tmp_path / "preview.png").exists()


def test_no_volume_waits_in_memory(tmp_path, draws):
    """What is held is the same after one case and after ten, and nothing is left on disk."""
    (tmp_path / "history.csv").write_text(HISTORY)
    evaluator, trainer = engine(), engine()
    Preview(tmp_path, evaluator, ["head", "tail"]).attach(trainer)
    for epoch in (1, 2):
        evaluator.state.epoch = trainer.state.epoch = epoch
        evaluator.fire_event(Events.EPOCH_STARTED)
        held, tensors = [], []
        tracemalloc.start()  # knows the memory of numpy's arrays
        for number in range(10):
            item, output = case(str(number), number % 3, False)
            tensors += [weakref.ref(tensor) for tensor in output.values()]
            evaluator.state.batch, evaluator.state.output = [item], [output]
            evaluator.fire_event(Events.ITERATION_COMPLETED)
            held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert held[-1] - held[1] < 8 * 10 * 12 * 8  # bytes of one volume of classes
        assert sum(tensor() is not None for tensor in tensors) == len(output)  # those of the last case
        trainer.fire_event(Events.EPOCH_COMPLETED)
        assert draws[-1][-2].endswith("median case 7")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "preview.png"]


def test_nothing_is_drawn_in_an_epoch_without_validation(tmp_path, draws):
    evaluator, trainer = engine(), engine()
    Preview(tmp_path, evaluator, ["head"]).attach(trainer)
    evaluator.state.epoch, trainer.state.epoch = 1, 2
    trainer.fire_event(Events.EPOCH_COMPLETED)
    assert not draws


def test_other_processes_draw_nothing(tmp_path):
    evaluator, trainer = engine(), engine(rank=1)
    Preview(tmp_path, evaluator, ["head"]).attach(trainer)
    evaluator.state.epoch = trainer.state.epoch = 1
    item, output = case("any", 1, True)
    evaluator.state.batch, evaluator.state.output = [item], [output]
    evaluator.fire_event(Events.ITERATION_COMPLETED)
    trainer.fire_event(Events.EPOCH_COMPLETED)
    assert list(tmp_path.iterdir()) == []
