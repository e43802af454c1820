"""The shell entry points: their syntax, and what they do with the results of the steps that they run (made up here)."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    "tools/setup_env.sh",
    "tools/demo.sh",
    "tools/test.sh",
    ".ci/run",
    "tools/monailabel_env.sh",
    "tools/monailabel_demo.sh",
]
PASSED = '<testcase classname="tests.a" name="test_1"/>'
NO_DATA = '<testcase name="test_2"><skipped message="SSL3D_DATA is not set: real data absent">x</skipped></testcase>'
NO_MODULE = (
    '<testcase name="test_m"><skipped message="collection skipped">(\'Skipped: real data absent\')</skipped></testcase>'
)
NO_GPU = '<testcase classname="tests.a" name="test_3"><skipped message="no GPU">x</skipped></testcase>'

# An interpreter that notes each call, pretends the slow ones, and runs the rest.
STUB = """#!/usr/bin/env bash
echo "$PWD: $*" >>"$CALLS"
case "$*" in
    "-m pytest"*"not packed"*)
        while [[ $# -gt 0 && "$1" != --junitxml ]]; do shift; done
        echo "<testsuites><testsuite>$CASES</testsuite></testsuites>" >"$2"
        exit "${DEFAULT_STATUS:-0}" ;;
    "-m pytest"*) exit "${PACKED_STATUS:-0}" ;;
    "-m pip download"*) exit "${REGISTRY_STATUS:-0}" ;;
    "-m ruff"*) exit "${LINT_STATUS:-0}" ;;
    "-m "* | "-W ignore -m "*) exit 0 ;;
    *) exec "$REAL_PYTHON" "$@" ;;
esac
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_syntax(script):
    subprocess.run(["bash", "-n", ROOT / script], check=True)
    assert (ROOT / script).read_text().startswith("#")


@pytest.mark.parametrize("script", SCRIPTS[1:])
def test_entry_points_can_be_executed(script):
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text().startswith("#!/usr/bin/env bash\n")


class Checkout:
    """The scripts in a folder with a space in its name, and the stub in place of the environment's Python."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a clone"
        shutil.copytree(ROOT / "tools", self.root / "tools")
        shutil.copytree(ROOT / ".ci", self.root / ".ci")
        for name in ("setup.cfg", "constraints.txt"):
            shutil.copy(ROOT / name, self.root)
        (self.root / "tests").mkdir()
        (self.root / "tests" / "test_zip.py").write_text("@pytest.mark." + "packed\n")
        self.venv = self.root / ".venv"
        (self.venv / "bin").mkdir(parents=True)
        (self.venv / "bin" / "python").write_text(STUB)
        (self.venv / "bin" / "python").chmod(0o755)
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        self.calls = folder / "calls"

    def run(self, script: str, **variables: str) -> subprocess.CompletedProcess:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SSL3D_")}
        environment = {
            **inherited,
            "CALLS": str(self.calls),
            "CASES": PASSED,
            "REAL_PYTHON": sys.executable,
            **variables,
        }
        self.calls.write_text("")
        return subprocess.run(
            [self.root / script], cwd=self.elsewhere, env=environment, capture_output=True, text=True, timeout=60
        )


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_ci_runs_the_test_script_and_nothing_else(checkout):
    (checkout.root / "tools" / "test.sh").write_text('#!/usr/bin/env bash\necho "called $#"\nexit 7\n')
    for name in ("setup_env.sh", "demo.sh"):
        (checkout.root / "tools" / name).unlink()
    done = checkout.run(".ci/run")
    assert (done.stdout, done.stderr, done.returncode) == ("called 0\n", "", 7)
    commands = [line for line in (ROOT / ".ci/run").read_text().splitlines() if not line.startswith("#")]
    assert len(commands) == 1 and "tools/test.sh" in commands[0]


def test_all_steps_run_from_any_folder_and_installation_only_when_something_changed(checkout):
    done = checkout.run("tools/test.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    calls = checkout.calls.read_text()
    for step in ("-m pip install", "-m ruff check", "-m ruff format --check", "-m mypy", "-m pytest -n 2"):
        assert step in calls
    assert f"{checkout.root}: -m pytest" in calls
    assert calls.index("constraints.txt torch") < calls.index("--editable")

    assert checkout.run("tools/test.sh").returncode == 0
    assert "-m pip install" not in checkout.calls.read_text()

    with (checkout.root / "constraints.txt").open("a") as file:
        file.write("# changed\n")
    assert checkout.run("tools/test.sh").returncode == 0
    assert "-m pip install" in checkout.calls.read_text()


def test_skipped_real_data_fails_only_where_there_are_data(checkout):
    for cases in (NO_DATA, NO_MODULE):
        done = checkout.run("tools/test.sh", CASES=PASSED + cases + NO_GPU)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1  no GPU" in done.stdout and "real data absent" in done.stdout

        (checkout.elsewhere / "my data").mkdir(exist_ok=True)
        done = checkout.run("tools/test.sh", CASES=PASSED + cases + NO_GPU, SSL3D_DATA="my data")
        assert done.returncode == 1
        assert "FAILED: SSL3D_DATA is set" in done.stdout and "1 tests" in done.stdout
    assert checkout.run("tools/test.sh", CASES=PASSED + NO_GPU, SSL3D_DATA="my data").returncode == 0


def test_data_beside_the_checkout_are_found(checkout):
    (checkout.root.parent / "shared" / "data").mkdir(parents=True)
    done = checkout.run("tools/test.sh", CASES=NO_DATA)
    assert done.returncode == 1
    assert f"real data: {checkout.root.parent / 'shared' / 'data'}\n" in done.stdout


def test_a_data_folder_that_does_not_exist_is_an_error(checkout):
    done = checkout.run("tools/test.sh", SSL3D_DATA="nowhere")
    assert done.returncode != 0 and "nowhere" in done.stderr
    assert "-m pytest" not in checkout.calls.read_text()


@pytest.mark.parametrize(
    ("variables", "status"),
    [
        ({"DEFAULT_STATUS": "1"}, 1),
        ({"PACKED_STATUS": "1"}, 1),
        ({"PACKED_STATUS": "0"}, 0),
        ({"LINT_STATUS": "1"}, 1),
        ({"REGISTRY_STATUS": "1", "PACKED_STATUS": "1"}, 0),
    ],
)
def test_the_status_of_each_step_counts(checkout, variables, status):
    done = checkout.run("tools/test.sh", **variables)
    assert done.returncode == status
    assert ("not run: the package registry cannot be reached" in done.stdout) == ("REGISTRY_STATUS" in variables)


def test_without_packed_tests_none_are_run_so_that_the_output_ends_with_what_was_run(checkout):
    (checkout.root / "tests" / "test_zip.py").unlink()
    assert checkout.run("tools/test.sh", PACKED_STATUS="1").returncode == 0
    assert checkout.calls.read_text().count("-m pytest") == 1


def test_the_demo_pretrains_compares_registers_and_ends_with_the_real_table(checkout):
    for name in ("hippocampus_mri_segmentation", "gvsl_pretraining", "mae_pretraining"):
        (checkout.root / "bundles" / name).mkdir(parents=True)
    done = checkout.run("tools/demo.sh")
    assert done.returncode == 0, done.stderr
    assert "mechanics only: synthetic" in done.stdout
    table = checkout.root / "bundles" / "hippocampus_mri_segmentation" / "docs" / "README.md"
    assert done.stdout.splitlines()[-1].endswith(f": {table}")
    calls = [line.split(": -W ignore -m ") for line in checkout.calls.read_text().splitlines() if "-W ignore" in line]
    steps = [(Path(folder).name, command.split()[:3]) for folder, command in calls]
    train = ["monai.bundle", "run", "--config_file"]
    assert steps[0] == ("elsewhere", ["ssl3d.cli", "synthesize", "hippocampus_mri"])
    assert sorted(steps[1:3]) == [("gvsl_pretraining", train), ("mae_pretraining", train)]
    assert steps[3] == ("a clone", ["ssl3d.cli", "study", "bundles/hippocampus_mri_segmentation"])
    assert steps[4] == ("gvsl_pretraining", train)
    for method in ("mae", "gvsl"):
        assert f"demo_output/{method}/demo/model.pt" in calls[3][1]


def test_a_port_in_use_is_named_before_anything_is_installed_or_deleted(checkout):
    (checkout.root / "monailabel_demo").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = checkout.run("tools/monailabel_demo.sh", SSL3D_LABEL_PORT=port)
    assert done.returncode == 1
    assert f"error: port {port} is in use" in done.stderr and "SSL3D_LABEL_PORT" in done.stderr
    assert checkout.calls.read_text() == "" and (checkout.root / "monailabel_demo").is_dir()


def test_the_environment_of_monai_label_is_made_once(checkout):
    venv = checkout.venv.rename(checkout.root / ".venv-monailabel")
    (venv / "bin" / "python").write_text(
        STUB.replace("*) exec", '"-c import torchvision" | *"import monailabel"*) exit 0 ;;\n    *) exec')
    )
    done = checkout.run("tools/monailabel_env.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    calls = checkout.calls.read_text()
    assert calls.index("torch==2.13.0") < calls.index("--requirement tools/monailabel_requirements.txt")
    assert "--no-deps monailabel==0.8.5" in calls
    assert "is up to date" in checkout.run("tools/monailabel_env.sh").stdout
    assert "-m pip install" not in checkout.calls.read_text()


def test_an_unfit_python_is_named(checkout):
    shutil.rmtree(checkout.venv)
    old = checkout.root / "old python"
    old.write_text('#!/usr/bin/env bash\n[[ "$1" == --version ]] && echo "Python 3.9.1"\nexit 1\n')
    old.chmod(0o755)
    done = checkout.run("tools/test.sh", SSL3D_PYTHON=str(old))
    assert done.returncode == 1
    assert f"SSL3D_PYTHON={old} is not Python 3.10 to 3.13: Python 3.9.1" in done.stderr


def test_a_python_without_venv_is_told_what_to_install(checkout):
    shutil.rmtree(checkout.venv)
    bare = checkout.root / "bare python"
    bare.write_text('#!/usr/bin/env bash\n[[ "$*" != *ensurepip* ]]\n')
    bare.chmod(0o755)
    done = checkout.run("tools/test.sh", SSL3D_PYTHON=str(bare))
    assert done.returncode == 1
    assert "apt install python3-venv" in done.stderr
