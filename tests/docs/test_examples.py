"""The examples of docs/ run as they stand, learn something, and stay short enough to be read."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from ssl3d.data import synthesize
from ssl3d.release import pack

ROOT = Path(__file__).parents[2]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "docs" / "examples").glob("*.py"))}
# No import finds ssl3d, wherever it is installed, and none of a bundle's own scripts is taken.
WITHOUT_SSL3D = """
import runpy, sys
sys.modules["ssl3d"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not [name for name in sys.modules if name.split(".")[0] in ("ssl3d", "scripts") and name != "ssl3d"]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("scans")
    synthesize("hippocampus_mri", folder, subjects=5)
    return str(folder)


def run(*command: str | Path, folder: Path) -> str:
    """What a process prints with another working directory."""
    interpreter = [sys.executable, "-W", "ignore"]
    done = subprocess.run(
        [*interpreter, *command], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def assert_learned(printed: str) -> None:
    """The loss falls by more than a quarter, and the case that was not trained on is found better than by chance."""
    losses = [float(value) for value in re.findall(r"^epoch \d+: loss ([\d.]+)$", printed, re.MULTILINE)]
    assert len(losses) == 12 and losses[-1] < 0.75 * losses[0], printed
    assert float(re.search(r"^hippocampus_000\.nii\.gz: Dice ([\d.]+)$", printed, re.MULTILINE)[1]) > 0.15, printed


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_short_and_a_page_names_them(name):
    assert len(EXAMPLES[name].read_text().splitlines()) <= 40
    assert f"(examples/{name}.py)" in (ROOT / "docs" / "python.md").read_text()
    assert f"\npython docs/examples/{name}.py " in EXAMPLES[name].read_text()


def test_the_readme_is_short_and_its_python_runs():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1], names)
    assert names["method"].student.backbone.encoder[0][0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, heading = link.partition("#")
        if "://" in link:
            continue
        target = page.parent / file if file else page
        assert target.exists(), link
        headings = (
            [
                re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
                for line in target.read_text().splitlines()
                if line.startswith("#")
            ]
            if heading
            else []
        )
        assert not heading or heading in headings, link


def test_a_zip_gives_a_backbone_where_there_is_no_ssl3d(data, tmp_path):
    (file,) = pack(ROOT / "bundles", tmp_path, ["gvsl_pretraining"])
    assert_learned(run("-c", WITHOUT_SSL3D, EXAMPLES["backbone_without_ssl3d"], file, data, folder=tmp_path))


def test_a_bundle_gives_its_backbone_to_a_monai_script(data, tmp_path):
    bundle = ROOT / "bundles" / "gvsl_pretraining"
    assert_learned(run(EXAMPLES["backbone_in_monai_script"], bundle, data, folder=tmp_path))


def test_a_method_learns_in_a_plain_loop_and_its_backbone_is_loaded(data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["example", data])
    names = runpy.run_path(str(EXAMPLES["plain_pytorch_loop"]))
    printed = capsys.readouterr().out
    errors = [float(value) for value in re.findall(r"hidden voxels ([\d.]+)", printed)]
    assert len(errors) == 4 and errors[-1] < 0.75 * errors[0], printed
    assert printed.splitlines()[4].startswith(
        "100.0 % of the elements of the network's backbone fit. Entries: 42 matched"
    )
    assert (tmp_path / "mae.pt").is_file() and not (Path(data) / "mae.pt").exists()
    assert names["loss"].item() == pytest.approx(errors[-1], abs=1e-4)
