"""Log the skipped files, the results of a run and the next commands at its end."""

import json
import logging
import shlex
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from ..files.texts import counted
from . import checkpoints, failures, lock
from .cases import section_to_evaluate
from .preflight import running_workflow
from .workflow import rank

logger = logging.getLogger(__name__)

DATA = ("train::dataset::data", "validate::dataset::data", "dataset::data")
# Flags of a training that say nothing about its data or its network.
OF_TRAINING = {
    "config_file", "epochs", "epoch_length", "val_interval", "batch_size", "learning_rate", "num_labelled",
    "pretrained", "pretrained_part", "resume", "publish", "amp", "seed", "output_dir", "weights", "model_dir",
    "optimizer", "lr_scheduler", "loss", "train", "tracking", "skip_bad", "run_id", "logging_file",
}  # fmt: skip
OF_INFERENCE = ("pixdim", "roi_size", "network_def", "device")


def summary() -> None:
    """Log skipped files, scores, weights, picture, output folder and next commands; last entry of each ``run`` list.

    In a distributed run only the first process logs.
    """
    if rank() > 0:
        return
    workflow = running_workflow()
    parser = workflow.parser
    for id in DATA:
        if id in parser.ref_resolver.resolved_content:  # do not build data sets that the run did not use
            for fault in getattr(parser.get_parsed_content(id), "skipped", []):
                logger.warning(f"Skipped: {fault}")
    folder = Path(parser.get_parsed_content("run_dir" if "run_dir" in parser else "output_dir"))
    if "train::trainer" in parser.ref_resolver.resolved_content:
        _training(parser, folder)
        for line in next_commands(workflow, folder):
            logger.info(line)
        lock.release(parser.get_parsed_content("output_dir"))
    for file in (folder / failures.FILE, *folder.glob("error_rank*.txt")):  # of an earlier run that failed
        file.unlink(missing_ok=True)
    features = len(list(folder.glob("*_features.npz")))
    if features:
        logger.info(f"Features of {features} scan(s): NAME_features.npz with dense, whole and affine, for numpy.load")
    logger.info(f"Results: {folder.absolute()}")


def _training(parser: ConfigParser, folder: Path) -> None:
    checkpoint = torch.load(folder / checkpoints.FILE, map_location="cpu", weights_only=True)
    if checkpoint["best"] is not None:
        name = parser.get_parsed_content("validate::evaluator").state.key_metric_name
        scores = checkpoint["best_per_class"]
        names = parser.get_parsed_content("classes").names if "classes" in parser else []
        each = [f"{label} {score:.3f}" for label, score in zip(names, scores, strict=False)]
        cases = counted(len(parser.get_parsed_content("validate::dataset")), "case")
        text = f"Validation, epoch {checkpoint['best_metric_epoch']}: {name} {checkpoint['best_metric']:.4f}"
        logger.info(f"{text} on {cases}" + (f" ({', '.join(each)})" if each else ""))
        if "dice" in name and checkpoint["best_metric"] == 0:
            logger.warning("No structure was found in any validation case. Train longer, or look at the picture.")
    picture = folder / "preview.png"
    if picture.is_file():
        logger.info(f"Picture: {picture.absolute()}")


def next_commands(workflow: ConfigWorkflow, folder: Path) -> list[str]:
    """Return the commands that evaluate and apply the weights in ``folder``, with the flags of this run."""
    configs = Path(workflow.config_root_path)
    flags = _flags()
    files = flags.get("config_file", "configs/train.json")
    files = files if isinstance(files, list) else [files]
    files = [file for file in files if "multi_gpu" not in file]
    weights, parser = folder.absolute() / "model.pt", workflow.parser
    own = {key: value for key, value in flags.items() if key.split("#")[0] not in OF_TRAINING}
    alone = {key.replace("#student#", "#"): value for key, value in own.items()}  # keys of configs without a method
    output = Path(parser.get_parsed_content("output_dir")).absolute()
    lines = []
    section = section_to_evaluate(parser)
    pretrained = (folder / "pretraining.pth").is_file()
    evaluation = configs / "evaluate.json"
    default = str(ConfigParser.load_config_file(str(evaluation)).get("weights")) if evaluation.is_file() else ""
    # other evaluations of pre-training need labels or points, which the scans may not have
    if section and evaluation.is_file() and (not pretrained or "pretraining.pth" in default):
        whole = weights.with_name("pretraining.pth" if "pretraining.pth" in default else "model.pt")
        more = {**own, "weights": whole, "output_dir": output}
        more |= {} if section == "test" else {"section": section}
        lines.append(f"Evaluate on the {section} cases: {_command([*files, 'configs/evaluate.json'], more)}")
    if (configs / "inference.json").is_file():
        kept = {key: value for key, value in alone.items() if key.split("#")[0] in OF_INFERENCE}
        more = {**kept, "weights": weights, "dataset_dir": "/path/to/scans", "output_dir": output / "inference"}
        lines.append(f"Apply to scans: {_command(['configs/inference.json'], more)}")
    if pretrained:
        backbone = {key: value for key, value in alone.items() if key.startswith("network_def#backbone")}
        start = _words({"pretrained": weights, **backbone})
        lines.append(f"Fine-tune from them, in the folder of a task's bundle: --config_file configs/train.json {start}")
    return lines


def _command(files: list[str], flags: dict[str, Any]) -> str:
    config = files[0] if len(files) == 1 else '"[' + ",".join(f"'{file}'" for file in files) + ']"'
    return f"python -m monai.bundle run --config_file {config} {_words(flags)}"


def _words(flags: dict[str, Any]) -> str:
    return " ".join(f"--{key} {shlex.quote(str(value))}" for key, value in flags.items())


def _flags() -> dict[str, Any]:
    """Return the flags of this process's command line, without dashes; lists of configs as lists."""
    flags: dict[str, Any] = {}
    words = sys.argv[1:]
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        if word.startswith("--"):
            key, equals, value = word[2:].partition("=")
            flags[key.replace("::", "#")] = value if equals else following
    text = flags.get("config_file", "")
    if text.startswith("["):
        flags["config_file"] = json.loads(text.replace("'", '"'))
    return flags
