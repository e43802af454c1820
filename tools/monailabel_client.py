"""Does with a MONAI Label server what a viewer such as 3D Slicer does, by MONAI Label's own client, and checks it.

It asks what is served, has a scan labelled by each model, submits corrected labels, asks for the next scan, trains one
model from its shipped weights and from the pre-trained backbone, and has the scan labelled again each time. Answers,
pictures and ``report.json`` go to OUTPUT. The exit status is 1 where an answer is not what it should be.

Example:
    python tools/monailabel_client.py http://127.0.0.1:8000 studies truth answers --train hippocampus_mri_segmentation

STUDIES is the folder that the server has; TRUTH holds, for each model, a folder of its name with correct labels, which
bear the names of their scans. Runs in the environment of tools/monailabel_env.sh.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from matplotlib.figure import Figure
from monailabel.client import MONAILabelClient
from monailabel.client.client import MONAILabelUtils

from ssl3d.tasks import drawing
from ssl3d.tasks.segmentation.label_picture import draw_label_maps, size_of

FIT = re.compile(
    r"Loaded \S+/(\S+): ([\d.]+) % of the elements of the [\w' ]+ fit\. Entries: (\d+) matched, .* (\d+) missing"
)
CREDIT = "\nscan: Medical Segmentation Decathlon, Task04 Hippocampus, CC BY-SA 4.0"
SYNTHETIC = "\nsynthetic anatomy: shows the mechanics, nothing about people"
DECATHLON = re.compile(r"hippocampus_\d{3}")


class Session:
    """One visit to a server.

    Args:
        url: of the server.
        studies: folder of its scans.
        truth: model -> folder of correct labels.
        output: where answers go.
    """

    def __init__(self, url: str, studies: Path, truth: Path, output: Path) -> None:
        output.mkdir(parents=True, exist_ok=True)
        self.client = MONAILabelClient(url, tmpdir=str(output))
        self.studies, self.truth, self.output = studies, truth, output.resolve()
        self.info = self.client.info()

    def correct(self, model: str) -> list[Path]:
        """The correct labels for a model, by name."""
        return sorted((self.truth / model).glob("*.nii.gz"))

    def label(self, model: str, scan: str, round_name: str) -> dict[str, Any]:
        """Have a scan labelled; Dice against the correct label by the names that the server gives."""
        file, answer = self.client.infer(model, scan, {"device": "cpu"})
        kept = self.output / f"{model}_{round_name}.nii.gz"
        shutil.move(file, kept)
        predicted, image = nib.load(kept), nib.load(self.studies / f"{scan}.nii.gz")
        true = np.asarray(nib.load(self.truth / model / f"{scan}.nii.gz").dataobj)
        labels = self.info["models"][model]["labels"]
        dice = {}
        if predicted.shape == true.shape:
            voxels = np.asarray(predicted.dataobj)
            dice = {name: _dice(voxels == index, true == index) for name, index in labels.items()}
        return {
            "file": str(kept),
            "scan": scan,
            "label_names": answer["label_names"],
            "ids": np.unique(np.asarray(predicted.dataobj)).tolist(),
            "same_grid": predicted.shape == image.shape and np.allclose(predicted.affine, image.affine, atol=1e-4),
            "dice": dice,
        }

    def submit(self, model: str, scan: str) -> dict[str, Any]:
        """Submit the correct label of a scan, and fetch it again."""
        file = self.truth / model / f"{scan}.nii.gz"
        labels = [{"name": name, "idx": index} for name, index in self.info["models"][model]["labels"].items()]
        answer = self.client.save_label(scan, str(file), tag="final", params={"label_info": labels})
        back = nib.load(self.client.download_label(scan, "final"))
        return {"answer": answer, "same": bool(np.array_equal(back.get_fdata(), nib.load(file).get_fdata()))}

    def weights(self, model: str) -> str:
        """SHA-256 of the weights that the server has now."""
        status, content, _, _ = MONAILabelUtils.http_method("GET", self.client.get_server_url(), f"/model/{model}")
        if status != 200:
            raise RuntimeError(f"GET /model/{model} returned {status}: {content!r}")
        return hashlib.sha256(content).hexdigest()

    def train(self, model: str, weights: str, epochs: int) -> dict[str, Any]:
        """Train from a file of the bundle's ``models``, wait for the end, and read in the log what fitted."""
        before = self.weights(model)
        request = {"pretrained": True, "model_filename": weights, "max_epochs": epochs, "val_split": 0}
        self.client.train_start(model, {**request, "device": "cpu"})
        while self.state() in ("SUBMITTED", "RUNNING"):
            time.sleep(1)
        log = MONAILabelUtils.http_method("GET", self.client.get_server_url(), "/logs/?lines=1000&html=false")[1]
        text = log.decode(errors="replace")
        fits = [fit for fit in FIT.findall(text) if fit[0] == weights]
        return {
            "status": self.state(),
            "details": list(self.client.train_status().get("details", [])),
            "from": weights,
            "changed": self.weights(model) != before,
            "percent": float(fits[-1][1]) if fits else None,
            "matched": int(fits[-1][2]) if fits else None,
            "missing": int(fits[-1][3]) if fits else None,
        }

    def state(self) -> str:
        """Of the latest training: SUBMITTED, RUNNING, DONE, ERROR or STOPPED."""
        return self.client.train_status()["status"]

    def draw(self, model: str, answers: dict[str, dict[str, Any]]) -> Path:
        """Draw the correct label and each answer over the scan: one row each, with its Dice."""
        scan = next(iter(answers.values()))["scan"]
        files = {"correct label": str(self.truth / model / f"{scan}.nii.gz")}
        files |= {name: answer["file"] for name, answer in answers.items()}
        # the title says what the scan is; with the ending of demonstration weights the legend would be too wide
        found = self.info["models"][model]["labels"].items()
        labels = {index: name.removesuffix(" (demo)") for name, index in found}
        made = (self.truth.parent / "synthetic" / model).is_dir()
        source = SYNTHETIC if made else CREDIT if DECATHLON.fullmatch(scan) else ""
        title = f"MONAI Label, {model}: {scan}{source}"
        path = self.output / f"{model}.png"
        draw(self.studies / f"{scan}.nii.gz", {name: Path(file) for name, file in files.items()}, labels, title, path)
        return path


def draw(scan: Path, files: dict[str, Path], labels: dict[int, str], title: str, picture: Path) -> None:
    """Draw label maps over a scan: one row each.

    Args:
        scan: NIfTI file.
        files: NIfTI files of label maps by title, the correct one first.
        labels: Names of the labels, by id.
        title: Title of the picture.
        picture: Output PNG file.
    """
    image = nib.as_closest_canonical(nib.load(scan))
    voxels, spacing = image.get_fdata(), list(map(float, image.header.get_zooms()[:3]))
    maps = {name: np.asarray(nib.as_closest_canonical(nib.load(file)).dataobj) for name, file in files.items()}
    figure = Figure(figsize=size_of(voxels.shape, spacing, len(maps), labels), layout="constrained")
    figure.suptitle(title, fontsize=10)
    draw_label_maps(figure, voxels, maps, labels, spacing, drawing.window_of(voxels, 1, 99))
    drawing.save(figure, picture)


def _dice(a: np.ndarray, b: np.ndarray) -> float | None:
    """Overlap of two masks, 0 .. 1; None where both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else None


def visit(session: Session, trained: str, epochs: int) -> dict[str, Any]:
    """All that a viewer does; the report holds every answer that matters."""
    models = session.info["models"]
    report: dict[str, Any] = {"info": session.info, "models": {}, "rounds": {}}
    for model in models:
        scan = session.correct(model)[0].name.removesuffix(".nii.gz")
        answer = session.label(model, scan, "shipped")
        report["models"][model] = answer
        say(f"{model}: {models[model]['type']}, version {models[model]['version']}, {text(answer)}")

    first, *others = (file.name.removesuffix(".nii.gz") for file in session.correct(trained))
    report["submitted"] = {scan: session.submit(trained, scan) for scan in others}
    say(f"submitted {len(others)} corrected labels of {trained}")
    report["next"] = {name: session.client.next_sample(name, {}) for name in session.info["strategies"]}
    say("next scan: " + ", ".join(f"{answer['id']} ({name})" for name, answer in report["next"].items()))

    answers = {"answer with the shipped weights": report["models"][trained]}
    for weights, name in (("model.pt", "trained on"), ("backbone.pth", "trained from the backbone")):
        training = session.train(trained, weights, epochs)
        say(f"training from {weights}: {training['status']}, {training['matched']} entries matched")
        if training["status"] != "DONE":
            report["rounds"][weights] = {"training": training}
            continue
        answer = session.label(trained, first, weights.partition(".")[0])
        say(f"  {text(answer)}")
        report["rounds"][weights] = {"training": training, "answer": answer}
        answers[f"{name}, {epochs} epoch{'s' * (epochs > 1)}, {len(others)} labels"] = answer
    report["pictures"] = [
        str(session.draw(model, answers if model == trained else {"answer": report["models"][model]}))
        for model in models
    ]
    return report


def faults(report: dict[str, Any]) -> list[str]:
    """What is not as it should be, one sentence each."""
    found = []
    answers = {f"{model}, shipped": answer for model, answer in report["models"].items()}
    for weights, done in report["rounds"].items():
        training = done["training"]
        if training["status"] != "DONE" or not training["matched"] or not training["changed"]:
            found.append(f"training from {weights}: {training}")
        answers |= {f"after training from {weights}": done["answer"]} if "answer" in done else {}
    for name, answer in answers.items():
        if not answer["same_grid"]:
            found.append(f"{name}: the label {answer['file']} is not on the grid of its scan")
        unknown = set(answer["ids"]) - {0, *answer["label_names"].values()}
        if unknown:
            found.append(f"{name}: ids without a name in {answer['file']}: {sorted(unknown)}")
    for scan, submitted in report["submitted"].items():
        if not submitted["same"]:
            found.append(f"{scan}: the label that the server returns is not the one that was submitted")
        if scan in [answer["id"] for answer in report["next"].values()]:
            found.append(f"{scan} is offered for annotation although it has a final label")
    return found


def text(answer: dict[str, Any]) -> str:
    """One line about an answer."""
    dice = ", ".join(f"{name} {value:.3f}" for name, value in answer["dice"].items() if value is not None)
    return f"{answer['scan']} {'on its own grid' if answer['same_grid'] else 'ON ANOTHER GRID'}, Dice {dice}"


def say(line: str) -> None:
    """Print at once."""
    print(line, flush=True)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    for name in ("studies", "truth", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--train", required=True, help="the model to train")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each training (default: 5)")
    arguments = parser.parse_args()
    session = Session(arguments.url, arguments.studies, arguments.truth, arguments.output)
    report = visit(session, arguments.train, arguments.epochs)
    (arguments.output / "report.json").write_text(json.dumps(report, indent=1))
    found = faults(report)
    for fault in found:
        say(f"FAULT: {fault}")
    say(f"report and pictures: {session.output}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
