"""Checkpoints, progress and the facts of a preprocessing, on the smallest trainer there is."""

import csv
import logging

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, MeanAbsoluteError, ValidationHandler, from_engine
from monai.transforms import (
    Compose,
    NormalizeIntensityd,
    Orientationd,
    RandCropByLabelClassesd,
    RandSpatialCropd,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentilesd,
    Spacingd,
)
from torch import nn

from ssl3d.engines import Checkpoints, Progress, higher, lower
from ssl3d.engines.checkpoints import NotFiniteError
from ssl3d.engines.progress import duration
from ssl3d.weights.facts import preprocessing

DATA = [{"image": torch.full((1, 2), float(i)), "label": torch.full((1, 2), 2.0 * i)} for i in range(4)]
COMPARED = from_engine(["pred", "label"])


def make(
    folder, epochs=4, resume=False, interval=1, width=2, settings=None, data=DATA, compared=COMPARED, better=lower
):
    torch.manual_seed(0)
    network = nn.Linear(width, width)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    loader = DataLoader(data, batch_size=2)
    evaluator = SupervisedEvaluator(
        "cpu",
        loader,
        network,
        key_val_metric={"error": MeanAbsoluteError(output_transform=compared)},
        metric_cmp_fn=better,
    )
    handlers = [
        ValidationHandler(interval, evaluator),
        Progress(folder, evaluator),
        LrScheduleHandler(scheduler, print_lr=False),
        Checkpoints(folder, network, optimizer, scheduler, evaluator, resume, settings),
    ]
    trainer = SupervisedTrainer(
        "cpu", epochs, loader, network, optimizer, nn.MSELoss(), train_handlers=handlers, decollate=False
    )
    return trainer, network, evaluator


def saved(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def history(folder):
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_resume_ends_in_the_same_weights_schedule_and_history(tmp_path):
    trainer, whole, evaluator = make(tmp_path / "whole")
    trainer.run()
    make(tmp_path / "parts", epochs=2)[0].run()
    resumed, parts, evaluator2 = make(tmp_path / "parts", resume=True)
    resumed.run()
    assert resumed.state.iteration == trainer.state.iteration == 8
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), parts.parameters(), strict=True))
    assert resumed.optimizer.param_groups[0]["lr"] == 0.1 * 0.5**4
    assert evaluator2.state.best_metric == evaluator.state.best_metric
    best, best2 = (saved(tmp_path / run)["best"] for run in ("whole", "parts"))
    assert all(torch.equal(best[key], best2[key]) for key in best)
    same = [[{**row, "seconds": ""} for row in history(tmp_path / run)] for run in ("whole", "parts")]
    assert same[0] == same[1]
    assert [row["epoch"] for row in same[0]] == ["1", "2", "3", "4"]


def test_the_best_weights_are_those_of_the_best_validation(tmp_path):
    trainer, network, evaluator = make(tmp_path, epochs=2, interval=2)
    seen = []
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _: seen.append(network.weight.detach().clone()))
    trainer.run()
    assert evaluator.state.best_metric_epoch == 2
    assert torch.equal(saved(tmp_path)["best"]["weight"], seen[1])


def test_of_equal_scores_the_last_weights_are_the_best(tmp_path):
    def nothing_found(output):
        return [torch.zeros(2) for _ in output], [torch.zeros(2) for _ in output]

    trainer, network, evaluator = make(tmp_path, epochs=3, compared=nothing_found, better=higher)
    trainer.run()
    assert (evaluator.state.best_metric, evaluator.state.best_metric_epoch) == (0, 3)
    assert torch.equal(saved(tmp_path)["best"]["weight"], network.weight)


def test_without_validation_there_is_no_best(tmp_path):
    trainer, network, _ = make(tmp_path, epochs=1, interval=5)
    trainer.run()
    assert saved(tmp_path)["best"] is None
    assert torch.equal(saved(tmp_path)["network"]["weight"], network.weight)


def test_a_new_run_keeps_the_checkpoint_of_the_old_one(tmp_path, caplog):
    make(tmp_path, epochs=1)[0].run()
    old = (tmp_path / "checkpoint.pt").read_bytes()
    make(tmp_path, epochs=1)[0].run()
    assert (tmp_path / "previous_checkpoint.pt").read_bytes() == old
    assert "previous_checkpoint.pt" in caplog.text


def test_a_checkpoint_of_other_settings_is_refused_by_name(tmp_path):
    make(tmp_path, epochs=1)[0].run()
    with pytest.raises(ValueError, match=r"checkpoint\.pt belongs to a run with other settings"):
        make(tmp_path, resume=True, width=3)


def test_a_checkpoint_of_other_data_seed_or_length_is_refused_with_each_difference(tmp_path):
    settings = {"seed": 0, "epochs": 1, "training data": "4 cases, abc"}
    make(tmp_path, epochs=1, settings=settings)[0].run()
    with pytest.raises(ValueError, match="belongs to another run") as refusal:
        make(tmp_path, resume=True, settings=settings | {"seed": 7, "training data": "8 cases, def"})
    for words in ("seed: 0 there, 7 here", "4 cases, abc there", "--pretrained"):
        assert words in str(refusal.value)
    assert "epochs" not in str(refusal.value)
    make(tmp_path, epochs=2, resume=True, settings=settings)[0].run()
    assert saved(tmp_path)["epoch"] == 2


@pytest.mark.parametrize("damage", ["cut", "text", "list", "empty"])
def test_a_damaged_checkpoint_is_named_before_the_first_step(tmp_path, damage):
    make(tmp_path, epochs=1)[0].run()
    file = tmp_path / "checkpoint.pt"
    if damage == "list":
        torch.save([1, 2], file)
    else:
        file.write_bytes({"cut": file.read_bytes()[:-900], "text": b"no checkpoint", "empty": b""}[damage])
    with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged") as refusal:
        make(tmp_path, resume=True)
    assert "weights_only" not in str(refusal.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run_with_the_state_before_it_kept(tmp_path, value):
    make(tmp_path, epochs=1)[0].run()
    before = (tmp_path / "checkpoint.pt").read_bytes()
    bad = [*DATA[:3], {"image": DATA[3]["image"] * value, "label": DATA[3]["label"], "name": "case_3"}]
    bad = [{"name": f"case_{number}", **item} for number, item in enumerate(bad)]
    trainer, network, _ = make(tmp_path, epochs=3, resume=True, data=bad)
    with pytest.raises(NotFiniteError, match=r"epoch 2, step 2 of 2 on case_2, case_3") as stop:
        trainer.run()
    assert str(tmp_path / "checkpoint.pt") in str(stop.value)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert all(parameter.isfinite().all() for parameter in network.parameters())


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    trainer, network, _ = make(tmp_path, epochs=2, interval=9)

    @trainer.on(Events.ITERATION_COMPLETED(once=4))
    def _break(_):
        network.weight.data.fill_(float("nan"))

    with pytest.raises(NotFiniteError, match="weight is not finite at epoch 2"):
        trainer.run()
    assert saved(tmp_path)["epoch"] == 1


def test_the_best_epoch_keeps_its_number_of_steps(tmp_path):
    make(tmp_path, epochs=3, interval=2)[0].run()
    assert (saved(tmp_path)["best_iteration"], saved(tmp_path)["iteration"]) == (4, 6)


def test_resume_without_a_checkpoint_starts_from_the_beginning(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        make(tmp_path, epochs=1, resume=True)[0].run()
    assert "starts from the beginning" in caplog.text
    assert (tmp_path / "checkpoint.pt").is_file()
    assert "previous_checkpoint" not in caplog.text


def test_resume_where_only_the_checkpoint_of_an_earlier_run_is_left_says_what_to_do(tmp_path, caplog):
    make(tmp_path, epochs=1)[0].run()
    (tmp_path / "checkpoint.pt").rename(tmp_path / "previous_checkpoint.pt")
    make(tmp_path, epochs=1, resume=True)[0].run()
    assert f"{tmp_path / 'previous_checkpoint.pt'} belongs to an earlier run" in caplog.text
    assert "rename the file to checkpoint.pt" in caplog.text


def test_an_interrupted_save_leaves_the_former_checkpoint(tmp_path, monkeypatch):
    make(tmp_path, epochs=1)[0].run()
    old = (tmp_path / "checkpoint.pt").read_bytes()

    def torn(obj, file, **_):
        file.write(b"half")
        raise KeyboardInterrupt

    trainer, *_ = make(tmp_path, epochs=2, resume=True)
    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert (tmp_path / "checkpoint.pt").read_bytes() == old
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("events")) == [
        "checkpoint.pt",
        "history.csv",
    ]


def test_history_holds_loss_and_metric_and_the_log_says_what_is_left(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        make(tmp_path, epochs=2, interval=2)[0].run()
    rows = history(tmp_path)
    assert [row["steps"] for row in rows] == ["2", "4"]
    assert rows[0]["error"] == ""
    assert float(rows[1]["error"]) > 0
    assert np.isfinite([float(row["loss"]) for row in rows]).all()
    assert float(rows[0]["learning_rate"]) == 0.1
    assert "epoch 1/2" in caplog.text
    assert "left" in caplog.text
    assert list(tmp_path.glob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (12_000, "3 h 20 min")]
)
def test_durations_for_people(seconds, text):
    assert duration(seconds) == text


def test_facts_are_read_off_the_transforms():
    chain = [Orientationd("image", axcodes="LPS"), Spacingd("image", pixdim=(1.5, 1.5, 2.0))]
    crop = RandSpatialCropd("image", roi_size=(32, 48, 64), random_size=False)
    common = {"orientation": "LPS", "spacing": [1.5, 1.5, 2.0], "roi_size": [32, 48, 64]}
    for transform, intensity in (
        (ScaleIntensityRangePercentilesd("image", 1, 99, 0, 1), {"kind": "percentiles", "lower": 1, "upper": 99}),
        (ScaleIntensityRanged("image", -125, 225), {"kind": "window", "lower": -125, "upper": 225}),
        (NormalizeIntensityd("image"), {"kind": "z-score"}),
    ):
        assert preprocessing(Compose([*chain, transform, crop])) == common | {"intensity": intensity}
    balanced = RandCropByLabelClassesd("image", "label", spatial_size=(32, 48, 64), num_classes=2)
    assert preprocessing(Compose([balanced])) == {"roi_size": [32, 48, 64]}
    assert preprocessing(Compose([])) == {}
