"""Training as MONAI Label starts it, without its server (which tests/integration has)."""

import json
import logging
import shutil

import torch
from bundles.conftest import BUNDLES, TINY, TRAIN, of_kind, workflow

from ssl3d.data import synthesize
from ssl3d.weights import passport


def ask(bundle, folder, file: str, count: int) -> float:
    """Train on what MONAI Label 0.8.5 hands over: plain items, a number of epochs of its own, its CheckpointLoader.

    Returns the learning rate at the end.
    """
    images = sorted((folder / "imagesTr").glob("*.nii.gz"))[:count]
    loader = {
        "_target_": "CheckpointLoader",
        "load_path": str(bundle / "models" / file),
        "load_dict": {"model": "$@network"},
        "strict": False,
    }
    settings = {name: value for name, value in TINY.items() if not name.startswith("cases")}
    del settings["epochs"]
    items = [{"image": str(image), "label": str(folder / "labelsTr" / image.name)} for image in images]
    flow = workflow(
        TRAIN,
        "train",
        **settings,
        **{"train#dataset#data": items, "validate#dataset#data": [], "bundle_root": str(bundle)},
    )
    flow.parser["train#handlers"].insert(0, loader)
    flow.parser["train#trainer#max_epochs"] = 1
    flow.run()
    return flow.parser.get_parsed_content("optimizer").param_groups[0]["lr"]


@of_kind("_segmentation")
def test_both_starts_are_counted_checked_and_named_in_the_passport(bundle, tmp_path, caplog):
    folder = tmp_path / "scans"
    kind = json.loads((bundle / TRAIN).read_text())["cases"]["kind"]
    synthesize(kind, folder, subjects=3, size=32)
    for ending, name in (("pt", "backbone.pth"), ("json", "backbone.json")):
        shutil.copy(BUNDLES / "gvsl_pretraining" / "models" / f"model.{ending}", bundle / "models" / name)
    start = passport.read(bundle / "models" / "backbone.json")
    shipped = torch.load(bundle / "models" / "model.pt", weights_only=True)

    with caplog.at_level(logging.INFO):
        last_rate = ask(bundle, folder, "backbone.pth", 2)
    assert f"{bundle}/models/backbone.pth: 99." in caplog.text
    assert "Entries: 58 matched, 0 adapted, 2 missing, 26 unexpected" in caplog.text
    assert last_rate < 1e-6  # the schedule ends with the run
    first = passport.read(bundle / "models" / "model.json")
    assert first.corpus == [{"name": "unknown", "count": 2, "licence": "unknown"}, *start.corpus]
    assert first.method == "supervised, from weights of gvsl" and start.licence in first.licence

    caplog.clear()
    with caplog.at_level(logging.INFO):
        ask(bundle, folder, "model.pt", 3)  # a second round, with one label more
    assert "60 matched, 0 adapted, 0 missing, 0 unexpected" in caplog.text
    second = passport.read(bundle / "models" / "model.json")
    assert second.corpus == [{"name": "unknown", "count": 3, "licence": "unknown"}, *start.corpus]
    assert (second.method, second.licence) == (first.method, first.licence)
    trained = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert all(not torch.equal(trained[name], shipped[name]) for name in ("head.weight", "backbone.encoder.0.0.weight"))
