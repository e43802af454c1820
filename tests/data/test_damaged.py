"""Every damaged or odd file is refused by name, or read as MONAI reads it; a bundle trains on what is left."""

import gzip
import json
import os
import re
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bundles.conftest import TINY, TRAIN, copy_bundle, forget_scripts, workflow  # noqa: F401
from data.damaged import IMAGES, LABELS, PLAIN, Sample
from data.nifti_files import AFFINE, IMAGE, LABEL, flipped, nifti, put, save
from monai.transforms import LoadImaged

from ssl3d.data import DataError, check_item, validate
from ssl3d.files.texts import counted
from ssl3d.imaging.nifti import BadFileError, read_volume


def make(sample: Sample, folder: Path) -> str:
    sample.write(folder / sample.name)
    return str(folder / sample.name)


def assert_refused(sample: Sample, item: dict, file: str) -> None:
    with pytest.raises(DataError, match=sample.refused) as error:
        validate([item], label_ids=[0, 1, 2])
    (fault,) = error.value.faults
    assert fault.file == file
    assert fault.fatal
    assert len(fault.remedy) > 10
    assert str(fault) in str(error.value)


def assert_read_rightly(sample: Sample, item: dict, key: str) -> None:
    """No fault, and the truth is both what was checked and what the bundles' first transform gives."""
    faults = check_item(item, label_ids=[0, 1, 2])
    assert [fault.file for fault in faults] == ([item[key]] if sample.doubt else [])
    for fault in faults:
        assert re.search(sample.doubt, fault.problem)
        assert not fault.fatal
    volume = read_volume(Path(item[key]))
    np.testing.assert_allclose(volume.scaled(volume.array), sample.truth, rtol=1e-6)
    np.testing.assert_allclose(volume.grid.affine, sample.affine, atol=1e-4)
    assert_monai_reads(volume, item[key])


def assert_monai_reads(volume, file: str) -> None:
    loaded = LoadImaged("image", ensure_channel_first=True)({"image": file})["image"]
    np.testing.assert_allclose(loaded[0].numpy(), volume.scaled(volume.array), rtol=1e-6)
    np.testing.assert_allclose(loaded.affine.numpy(), volume.grid.affine, atol=1e-4)


@pytest.mark.parametrize("name", IMAGES)
def test_image(tmp_path, name):
    sample = IMAGES[name]
    item = {"image": make(sample, tmp_path)}
    if name == "no permission" and os.access(item["image"], os.R_OK):
        pytest.skip("root may read every file")
    assert_refused(sample, item, item["image"]) if sample.refused else assert_read_rightly(sample, item, "image")


@pytest.mark.parametrize("name", LABELS)
def test_label(tmp_path, name):
    sample = LABELS[name]
    (tmp_path / "labels").mkdir()
    item = {"image": make(IMAGES["plain"], tmp_path), "label": make(sample, tmp_path / "labels")}
    assert_refused(sample, item, item["label"]) if sample.refused else assert_read_rightly(sample, item, "label")


def test_the_set_is_large():
    samples = [*IMAGES.values(), *LABELS.values()]
    assert sum(bool(sample.refused) for sample in samples) >= 60
    assert sum(not sample.refused for sample in samples) >= 40


@pytest.mark.filterwarnings("ignore")  # nibabel's remarks
@pytest.mark.parametrize("start", range(4))
def test_a_flipped_bit_in_the_header_is_noticed_or_read_as_monai_reads_it(tmp_path, start):
    """Every fifth bit. Unnoticed may be a scale factor and the origin: such headers are as good as the true one."""
    refused = same = 0
    for bit in range(5 * start, 8 * 348, 20):
        path = tmp_path / f"bit_{bit}.nii"
        put(flipped(PLAIN, bit))(path)
        faults = check_item({"image": str(path)})
        if any(fault.fatal for fault in faults):
            refused += 1
            continue
        same += 1
        volume = read_volume(path)
        assert_monai_reads(volume, str(path))
        if not faults:
            np.testing.assert_allclose(volume.grid.affine[:, :3], AFFINE[:, :3], atol=1e-2, err_msg=f"bit {bit}")
            assert np.array_equal(volume.array, IMAGE), f"bit {bit}"
    assert refused >= 8
    assert same >= 80


@pytest.mark.parametrize(
    "data",
    [
        nifti(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]),
        gzip.compress(nifti(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])),
        nifti(kind=nib.Nifti2Image, dim=[3, 2**40, 2**20, 8, 1, 1, 1, 1]),
        nifti(vox_offset=2e9),
        gzip.compress(PLAIN + bytes(1 << 27)),
        gzip.compress(bytes(1 << 27)),
    ],
    ids=["sizes", "sizes in gzip", "sizes of NIfTI-2", "offset", "128 MiB behind the voxels", "128 MiB of zeros"],
)
def test_no_memory_is_taken_for_what_a_file_claims(tmp_path, data):
    path = tmp_path / ("scan.nii.gz" if data[:2] == b"\x1f\x8b" else "scan.nii")
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(BadFileError):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def mixed_folder(folder: Path) -> tuple[list[str], set[str]]:
    """A data set of all samples, each image with a label and each label with an image: good names, bad files."""
    good, bad, entries = [], set(), []

    def add(name: str, image: Sample, label: Sample, tested: Sample) -> None:
        files = {}
        for key, sample in (("image", image), ("label", label)):
            path = folder / f"{key}sTr" / f"{len(entries)}_{sample.name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            sample.write(path)
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7 from macOS")
            files[key] = str(path.relative_to(folder))
            if sample is tested and sample.refused:
                bad.add(str(path))
        entries.append({**files, "name": name})
        good.extend([] if tested.refused else [name])

    for name, sample in IMAGES.items():
        ids = LABEL[..., : np.shape(sample.truth)[2]]
        add(f"image: {name}", sample, Sample(save(ids, sample.affine)), sample)
    for name, sample in LABELS.items():
        add(f"label: {name}", IMAGES["plain"], sample, sample)
    validation = [entries[good_entry] for good_entry in (-1, -2)]
    training = [entry for entry in entries if entry not in validation]
    (folder / "dataset.json").write_text(json.dumps({"training": training, "validation": validation}))
    return [name for name in good if name not in {entry["name"] for entry in validation}], bad


@pytest.mark.usefixtures("forget_scripts")
def test_a_bundle_refuses_a_mixed_folder_or_trains_on_its_good_cases(tmp_path, monkeypatch):
    monkeypatch.delitem(IMAGES, "no permission")  # root has it
    good, bad = mixed_folder(tmp_path / "set")
    root = copy_bundle("hippocampus_mri_segmentation", tmp_path)
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(root)
    settings = {**TINY, "dataset_dir": str(tmp_path / "set")}
    with pytest.raises(RuntimeError) as caught:
        workflow(TRAIN, "train", **settings).run()
    refusal = caught.value.__cause__.__cause__
    assert {fault.file for fault in refusal.faults} == bad
    assert counted(len(bad), "fault") in str(caught.value.__cause__)
    small = {"image: two slices", "image: thick slices"}  # 3 voxels a side at 1 mm: read rightly, and left out
    good = [name for name in good if name not in small]
    flow = workflow(TRAIN, "train", **settings, skip_bad="true")
    flow.run()
    dataset = flow.parser.get_parsed_content("train#dataset")
    assert dataset.data.corpus[0]["count"] == len(good)
    assert {item["name"] for item in dataset.data} == set(good)
    for item in dataset:
        assert item["image"].shape == item["label"].shape == (1, *TINY["roi_size"])
        assert item["image"].isfinite().all(), item["name"]
        assert set(item["label"].unique().tolist()) <= {0, 1, 2}
