"""What ``import ssl3d`` gives."""

import subprocess
import sys

import pytest

import ssl3d


@pytest.mark.parametrize("part", ["data", "engines", "tasks", "losses", "networks", "transforms", "weights"])
def test_parts_are_attributes(part):
    assert getattr(ssl3d, part).__name__ == f"ssl3d.{part}"
    assert part in dir(ssl3d)


@pytest.mark.parametrize("name", ["loses", "_losses", ""])
def test_other_names_are_not(name):
    with pytest.raises(AttributeError, match="has no attribute"):
        getattr(ssl3d, name)


def test_the_package_alone_imports_nothing_heavy():
    code = "import ssl3d, sys; assert 'torch' not in sys.modules; ssl3d.losses.LocalNCCLoss; import ssl3d.losses"
    subprocess.run([sys.executable, "-c", code], check=True)
