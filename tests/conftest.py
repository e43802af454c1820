"""Fixtures that several test folders share: real data and small NIfTI files."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets."""
    if not os.environ.get("SSL3D_DATA"):
        pytest.skip("SSL3D_DATA is not set: real data absent")
    return Path(os.environ["SSL3D_DATA"])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> Path:
    """No test reads or fills the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SSL3D_CACHE", str(folder))
    return folder


@pytest.fixture
def write_nifti():
    """``write_nifti(path, array, affine=identity)`` returns the path; folders are made."""

    def write(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
        return path

    return write


@pytest.fixture
def image_array():
    """``image_array(seed=0, shape=(6, 7, 8))``: noise, float32."""

    def make(seed: int = 0, shape: tuple[int, ...] = (6, 7, 8)) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=shape).astype(np.float32)

    return make


@pytest.fixture
def make_dataset(tmp_path, write_nifti, image_array):
    """``make_dataset(n, name="set")``: a folder of n cases with labels 0 and 1 in imagesTr and labelsTr."""

    def make(n: int, name: str = "set") -> Path:
        folder = tmp_path / name
        for i in range(n):
            image = image_array(i)
            write_nifti(folder / "imagesTr" / f"case_{i:02d}.nii.gz", image)
            write_nifti(folder / "labelsTr" / f"case_{i:02d}.nii.gz", (image > 0).astype(np.uint8))
        return folder

    return make
