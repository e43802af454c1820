"""The real MONAI Label server with our segmentation bundles, as a viewer sees it.

Needs the environment of tools/monailabel_env.sh, in which server and client run; these tests look at what they left.
"""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from ssl3d.weights import passport

pytestmark = pytest.mark.monailabel

ROOT = Path(__file__).parents[2]
VENV = Path(os.environ.get("SSL3D_LABEL_VENV", ROOT / ".venv-monailabel"))
MODELS = {path.name: path for path in sorted((ROOT / "bundles").glob("*_segmentation"))}
TRAINED = "hippocampus_mri_segmentation"
PATIENCE = int(os.environ.get("SSL3D_LABEL_PATIENCE", "300"))  # seconds, for the start and for all that a viewer does


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """URL and output folder of tools/monailabel_demo.sh --serve, to whose studies bad files were added."""
    if not (VENV / "ssl3d.stamp").is_file():
        pytest.skip(f"no environment of MONAI Label in {VENV}; tools/monailabel_env.sh makes it")
    folder = tmp_path_factory.mktemp("label")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {"SSL3D_LABEL_PORT": str(port), "SSL3D_LABEL_OUTPUT": str(folder / "demo")}
    with (folder / "log").open("w") as log:
        script = [ROOT / "tools" / "monailabel_demo.sh", "--serve"]
        process = subprocess.Popen(script, env={**os.environ, **variables}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}", folder / "demo"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def report(server):
    """What the client did, by its own report; the server has bad files among its studies all the while."""
    url, folder = server
    (folder / "studies" / "broken.nii.gz").write_bytes(b"this is no image")
    (folder / "studies" / "notes.txt").write_text("neither is this")
    client = [VENV / "bin" / "python", "-W", "ignore", ROOT / "tools" / "monailabel_client.py", url]
    done = subprocess.run(
        [*client, "studies", "truth", "answers", "--train", TRAINED],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return json.loads((folder / "answers" / "report.json").read_text())


def post(url: str) -> tuple[int, str]:
    """Status and text of the answer to a POST."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def test_every_bundle_is_served_with_its_task_and_its_labels(report):
    assert set(report["info"]["models"]) == set(report["info"]["trainers"]) == set(MODELS)
    assert set(report["info"]["strategies"]) == {"first", "random"}
    for name, bundle in MODELS.items():
        metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
        names = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        served = report["info"]["models"][name]
        assert served["type"] == "segmentation" and served["dimension"] == 3
        assert served["version"] == metadata["version"]
        assert served["labels"] == {text.lower(): int(index) for index, text in names.items() if index != "0"}
        demo = passport.read(bundle / "models" / "model.json").synthetic
        assert all(label.endswith(" (demo)") == demo for label in served["labels"])


def test_labels_lie_on_the_grid_of_their_scan(server, report):
    rounds = [done["answer"] for done in report["rounds"].values()]
    assert len(rounds) == 2
    for answer in [*report["models"].values(), *rounds]:
        label, scan = (nib.load(path) for path in (answer["file"], server[1] / "studies" / f"{answer['scan']}.nii.gz"))
        assert label.shape == scan.shape
        np.testing.assert_allclose(label.affine, scan.affine, atol=1e-4)
        assert set(np.unique(label.get_fdata())) <= {0, *answer["label_names"].values()}


def test_the_shipped_weights_find_a_real_hippocampus(report, data_dir):
    assert (data_dir / "msd_hippocampus").is_dir()  # or the scans of the server are synthetic
    dice = report["models"][TRAINED]["dice"]
    assert set(dice) == {"anterior hippocampus", "posterior hippocampus"}
    assert min(dice.values()) > 0.75


def test_labels_are_kept_and_their_scans_not_offered_again(server, report):
    assert len(report["submitted"]) == 4
    for scan in report["submitted"]:
        kept, given = (
            nib.load(server[1] / folder / f"{scan}.nii.gz") for folder in ("studies/labels/final", f"truth/{TRAINED}")
        )
        np.testing.assert_array_equal(kept.get_fdata(), given.get_fdata())
    assert all(answer["id"] not in report["submitted"] for answer in report["next"].values())


@pytest.mark.parametrize(("file", "matched", "missing"), [("model.pt", 60, 0), ("backbone.pth", 58, 2)])
def test_training_starts_from_the_file_that_was_asked_for_and_changes_the_weights(report, file, matched, missing):
    training = report["rounds"][file]["training"]
    assert training["status"] == "DONE", training["details"]
    assert (training["matched"], training["missing"]) == (matched, missing)
    assert training["changed"]


def test_new_weights_are_used_at_once_and_say_where_they_come_from(server, report):
    files = [report["models"][TRAINED]["file"], *(done["answer"]["file"] for done in report["rounds"].values())]
    labels = [nib.load(file).get_fdata() for file in files]
    assert not np.array_equal(labels[0], labels[1]) and not np.array_equal(labels[1], labels[2])
    models = server[1] / "apps" / "monaibundle" / "model" / TRAINED / "models"
    assert (models / "model.pt").read_bytes() != (MODELS[TRAINED] / "models" / "model.pt").read_bytes()
    end, start = passport.read(models / "model.json"), passport.read(models / "backbone.json")
    assert end.method == "supervised, from weights of gvsl"
    assert end.corpus[1:] == start.corpus and start.licence in end.licence


def test_the_client_draws_its_answers(report):
    assert len(report["pictures"]) == len(MODELS)
    assert all(Path(picture).read_bytes().startswith(b"\x89PNG") for picture in report["pictures"])


def test_bad_requests_are_refused_and_the_server_goes_on(server, report):
    url, folder = server
    for image in ("broken", "nowhere"):
        status, text = post(f"{url}/infer/{TRAINED}?image={image}&output=json")
        assert status in (404, 500) and text
    assert post(f"{url}/infer/{TRAINED}?image={report['models'][TRAINED]['scan']}&output=json")[0] == 200
    assert "broken.nii.gz" in (folder / "apps" / "monaibundle" / "logs" / "app.log").read_text()
