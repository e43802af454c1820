"""The ``ssl3d`` command."""

import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import fire

from .data.doctor import examine
from .data.doctor_table import show
from .data.readable_json import readable_json
from .data.synthetic import synthesize as write_synthetic
from .engines import flag
from .evaluation.study import study as run_study
from .evaluation.study_runs import settings_as_text
from .release import bench as run_bench
from .release import bench_inference as run_bench_inference
from .release import export as run_export
from .release import get, index, request, server
from .release import pack as run_pack


def synthesize(
    kind: str,
    output_dir: str,
    subjects: int = 8,
    seed: int = 0,
    size: int = 96,
    contrasts: str | Sequence[str] | None = None,
    label_maps: str | None = None,
) -> str:
    """Write a data set of synthetic anatomy in Decathlon layout, with landmarks and deformation fields.

    Example: ssl3d synthesize brain_mri brains --subjects 20 --contrasts t1n,t2w

    Args:
        kind: brain_mri (whole heads), hippocampus_mri (1 mm crops around the right hippocampus), abdominal_ct (13
            organs), chest_ct (classes: healthy, two kinds of opacities) or heart_ct (chambers, vessels, coronaries).
        output_dir: new or empty folder, or one with a set of the same settings, which is then reused.
        subjects: how many.
        seed: another seed gives other subjects.
        size: voxels along an axis; the field of view of a kind does not change with it.
        contrasts: of brain_mri and hippocampus_mri: t1n (the default), t1c, t2w, t2f; comma-separated.
        label_maps: folder of NIfTI label maps to paint with random contrast (brain_mri only).

    Returns:
        Path of dataset.json, printed.
    """
    return str(write_synthetic(str(kind), str(output_dir), subjects, seed, size, contrasts, label_maps))


def doctor(
    data: str,
    json: bool | str = False,
    datalist: str | None = None,
    against: str | None = None,
    write: str | None = None,
) -> None:
    """Look through a data set before anything is trained on it: what is there, what is wrong, what to do.

    Reads every file once and shows sizes, spacing, orientation, intensities, labels, damaged files, copies, and
    settings for a bundle. No file is changed. Exit status: 0 when all cases can be trained on, 1 when a fault was
    found, 2 when the command could not run.

    Example: ssl3d doctor Task04_Hippocampus --write good.json

    Args:
        data: folder with dataset.json (Decathlon), imagesTr and labelsTr (nnU-Net too), NIfTI images or DICOM files.
        json: print one JSON document and nothing else.
        datalist: JSON file that lists the cases, absolute or relative to the folder.
        against: another folder or JSON file; images that are in both would make a test say too much.
        write: new JSON file for the good cases, absolute or relative to the folder. No file is ever overwritten.
    """
    document = examine(
        str(data),
        datalist=None if datalist is None else str(datalist),
        against=None if against is None else str(against),
        write=None if write is None else str(write),
    )
    if flag(json):
        print(readable_json(document), end="")
    else:
        show(document)
    sys.exit(0 if document["good"] else 1)


def study(
    bundle: str,
    dataset_dir: str,
    output_dir: str,
    labels: str | int | Sequence[str | int] = (4, 16, "all"),
    seeds: int | Sequence[int] = (0, 1, 2),
    pretrained: str | Sequence[str] = "none",
    section: str = "validation",
    folds: int | None = None,
    jobs: int = 2,
    **settings: object,
) -> str:
    """Train and evaluate a segmentation bundle with few and many labels, and write one table with intervals.

    Keys of the bundle's config can follow as further flags, such as --epochs 20, --label_names head,body,tail or
    --train#trainer#amp true; they hold for all runs. Stopped, the study goes on where it was when it is started again.

    Example: ssl3d study bundles/hippocampus_mri_segmentation Task04_Hippocampus my_study --labels 4,all --seeds 0,1

    Args:
        bundle: folder of the bundle.
        dataset_dir: its data.
        output_dir: folder of the study; it holds every run with its log, and the tables.
        labels: numbers of labelled training cases, or all; comma-separated.
        seeds: comma-separated.
        pretrained: starting weights: none, names of bundles, paths; comma-separated.
        section: validation, to choose settings; test, once they are frozen.
        folds: cross-validation with so many folds, for few labels; the number of cases gives leave-one-out.
        jobs: runs at a time, one thread each.
        settings: keys of the bundle's config.

    Returns:
        Path of the table, printed.
    """
    table = run_study(
        str(bundle),
        str(dataset_dir),
        str(output_dir),
        labels=_several(labels),
        seeds=[int(seed) for seed in _several(seeds)],
        pretrained=[str(start) for start in _several(pretrained)],
        section=section,
        folds=None if folds is None else int(folds),
        jobs=jobs,
        settings=settings_as_text(settings),
    )
    print(table.read_text())
    return str(table)


def bench(
    bundle: str,
    size: int | Sequence[int] | None = None,
    batch_size: int | None = None,
    paper: bool | str = False,
    repeats: int = 5,
    device: str = "cpu",
    inference: bool | str = False,
    spacing: Sequence[float] = (0.75, 0.75, 1.5),
    settings: dict | None = None,
) -> None:
    """Measure time and memory of a pre-training step, or of segmenting a large CT, beside what the networks need.

    No data are read: volumes are random, the CT is made. Close other programs first: the load average is printed with
    the table.

    Example: ssl3d bench bundles/gvsl_pretraining --size 64 --batch_size 1 --paper true

    Args:
        bundle: folder of a pre-training bundle; with inference, of a segmentation bundle.
        size: voxels along each axis, one number or three; comma-separated. The bundle's roi_size when not given; with
            inference 512,512,300.
        batch_size: the bundle's when not given; not with inference.
        paper: true takes the settings of the publication, paper.json; not with inference.
        repeats: timed steps, or runs over the CT.
        device: cpu or cuda.
        inference: true segments a CT stage by stage, as inference.json has it.
        spacing: of the CT in mm; comma-separated.
        settings: further keys of the bundle's config, such as "{'crops': [1, 1, 1]}"; not with inference.
    """
    if flag(inference):
        if batch_size is not None or flag(paper) or settings:
            raise ValueError("batch_size, paper and settings are of a training step: leave them out with inference.")
        print(run_bench_inference(str(bundle), size, spacing, repeats, str(device)))
    else:
        print(run_bench(str(bundle), size, batch_size, paper, repeats, str(device), settings))


def pack(*names: str, output_dir: str = "dist", bundles: str = "bundles", zoo: str | None = None) -> None:
    """Pack bundles into zip files that run without ssl3d installed, with an index that makes the folder a zoo.

    Example: ssl3d pack gvsl_pretraining hippocampus_mri_segmentation

    Args:
        names: of bundles; all when not given.
        output_dir: folder of the zip files.
        bundles: folder of the bundles.
        zoo: write the form of a pull request to the MONAI Model Zoo into this folder, instead of zip files.
    """
    written = (
        run_pack(Path(bundles), Path(output_dir), names) if zoo is None else request(Path(bundles), Path(zoo), names)
    )
    print("\n".join(map(str, written)))


def export(
    *names: str, output_dir: str = "exports", bundles: str = "bundles", repeats: int = 10, any_size: bool | str = True
) -> None:
    """Write the networks of bundles as TorchScript and ONNX, check them against PyTorch, and time all three on the CPU.

    Each bundle takes about half a minute. Close other programs first: the load average is printed with the tables.
    Exit status: 0 when every file gives what PyTorch gives, 1 when one does not or could not be written.

    Example: ssl3d export gvsl_pretraining --output_dir exports

    Args:
        names: of bundles; all when not given.
        output_dir: of the files, <name>/model.ts and <name>/model.onnx.
        bundles: folder of the bundles.
        repeats: timed runs over one window.
        any_size: false writes ONNX for the bundle's window alone, which is several times faster.
    """
    exported = run_export(Path(bundles), Path(output_dir), names, repeats, flag(any_size))
    print("\n\n".join(entry.table for entry in exported))
    if not all(entry.good for entry in exported):
        sys.exit(1)


class Zoo:
    """A zoo is a folder of packed bundles with an index, on a web server or a disk.

    Example: ssl3d zoo get gvsl_pretraining --from http://127.0.0.1:8000
    """

    def index(self, folder: str, url: str = "") -> None:
        """Write SHA256SUMS and model_info.json for a folder of packed bundles, and list these.

        Example: ssl3d zoo index dist --url https://example.org/zoo

        Args:
            folder: of the zip files.
            url: where the folder will be found.
        """
        for release in index(Path(folder), str(url)):
            print(f"{release.name} {release.version}")

    def serve(self, folder: str, port: int = 8000) -> None:
        """Serve an indexed folder on this computer, until Ctrl+C.

        Example: ssl3d zoo serve dist --port 8000

        Args:
            folder: of the zip files.
            port: of 127.0.0.1; 0 takes a free one.
        """
        with server(Path(folder), port) as serving:
            try:
                print(f"{folder}: http://127.0.0.1:{serving.server_port}  (Ctrl+C ends it)", flush=True)
                serving.serve_forever()
            except KeyboardInterrupt:
                print()

    def get(self, name: str, version: str | None = None, from_: str | None = None, output_dir: str = ".") -> None:
        """Download a bundle into a folder of its name, checked before it is unpacked; goes on where it was stopped.

        An earlier version in that folder is kept whole beside it, under its version.

        Example: ssl3d zoo get gvsl_pretraining --version 0.1.0 --from http://127.0.0.1:8000,/media/usb/zoo

        Args:
            name: of the bundle.
            version: the latest when not given.
            from_: (write --from) URLs or folders, comma-separated, tried in turn; else those in the variable SSL3D_ZOO.
            output_dir: folder for the bundle's folder.
        """
        sources = _several(from_ or os.environ.get("SSL3D_ZOO", ""))
        if not sources:
            raise ValueError("Where is the zoo? Give --from URL (or a folder), or set the variable SSL3D_ZOO.")
        print(get(str(name), Path(output_dir), sources, None if version is None else str(version)))


def _several(value: object) -> list:
    """One or more values as Fire hands them over: ``4``, ``"all"``, ``(4, "all")`` or ``"4,all"``."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, Sequence) else [value]


COMMANDS = {
    "bench": bench,
    "doctor": doctor,
    "export": export,
    "pack": pack,
    "study": study,
    "synthesize": synthesize,
    "zoo": Zoo(),
}


def main() -> None:
    """Run the command line; an error of the user's makes one line on stderr and exit status 2."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        # `from` is a word of Python's, so that no argument can be called so
        words = [re.sub(r"^--from(?==|$)", "--from_", word) for word in sys.argv[1:]]
        if {"--help", "-h"} & set(words) and "--" not in words:  # a command that takes any flag would take this one
            words = [*(word for word in words if word not in ("--help", "-h")), "--", "--help"]
        fire.Fire(COMMANDS, words, name="ssl3d")
    except (ImportError, ValueError, OSError, RuntimeError) as error:
        print(f"ssl3d: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
