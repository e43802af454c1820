"""Pre-flight checks: fail before any training time is spent."""

import logging
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from ..losses import WeightedSum
from ..methods import Method
from ..upstream.memory import keep_freed_memory
from . import checkpoints, lock
from .backbone_check import check_backbone
from .cases import announce_cases
from .data_checks import check_data
from .earlier_run import keep_earlier_run
from .failures import explain_failures
from .flag import flag
from .monai_label import adopt_monai_label
from .network_parts import backbone_of, method_of
from .overrides import known_config, plain_texts, unknown_keys, unknown_targets
from .settings import check_settings
from .workflow import find_workflow, processes, rank, root_cause, started_by_command_line
from .writable import PreflightError, check_writable, missing_folders, remove_empty

logger = logging.getLogger(__name__)


def preflight() -> None:
    """Check settings, overrides, output folder, ROI, data, weights and all components of the running bundle workflow.

    This is the first entry of each ``run`` list, as ``{"_target_": "scripts.engines.preflight"}``. The workflow is
    found on the call stack, because an expression cannot access the merged config otherwise. The engine of the run list
    is built here at no extra cost, since the run uses the same object. The process keeps memory that steps free.

    Raises:
        PreflightError: The run cannot succeed; the message says what to do, and the first error is the cause. In a run
            started by ``python -m monai.bundle`` the program ends with that message and without traceback.
    """
    keep_freed_memory()
    workflow = running_workflow()
    if started_by_command_line():
        explain_failures(workflow)
    try:
        with ExitStack() as undo:
            _check(workflow, undo)
            undo.pop_all()
    except (OSError, RuntimeError, ValueError) as error:
        root = root_cause(error)
        if started_by_command_line():
            sys.exit(f"\nStopped before the run: {root}")
        raise PreflightError(str(root)) from root


def _check(workflow: ConfigWorkflow, undo: ExitStack) -> None:
    """Run all checks; ``undo`` collects the clean-up of a refused run."""
    parser = workflow.parser
    faults = check_settings(parser)
    if faults:
        raise PreflightError("\n".join(["these settings cannot be used:", *(f"  {fault}" for fault in faults)]))
    adopt_monai_label(parser)
    check_overrides(parser.get(), Path(workflow.config_root_path))
    engines = re.findall(r"@([\w#:]+)\.run\(\)", " ".join(map(str, parser.get("run"))))
    trains = any(engine.startswith("train") for engine in engines)
    if "output_dir" in parser:
        output_dir = parser.get_parsed_content("output_dir")
        undo.callback(remove_empty, missing_folders(output_dir))
        check_writable("output_dir", output_dir)
        if trains and rank() == 0:
            lock.hold(output_dir)
            undo.callback(lock.release, output_dir)
    if "amp" in parser and flag(parser["amp"]) and torch.device(parser.get_parsed_content("device")).type == "cpu":
        logger.warning("--amp true has no effect on a CPU: the run uses full precision.")
    if "roi_size" in parser and "network_def" in parser:
        network, roi_size = parser.get_parsed_content("network_def"), parser.get_parsed_content("roi_size")
        check_backbone(network)
        check_roi(roi_size, network)
        method = method_of(network)
        if method is not None and "batch_size" in parser:
            method.check_settings(roi_size, parser.get_parsed_content("batch_size") * processes())
            check_parts(parser.get_parsed_content("loss"), method)
    if "dataset" in parser and "output_dir" in parser:
        items = parser.get_parsed_content("dataset").data
        check_apart(parser.get_parsed_content("output_dir"), items)
    for engine in engines:
        check_data(parser, engine)
        parser.get_parsed_content(engine)  # reads the data, loads the weights, builds all that the run needs
    if trains and rank() == 0:
        _begin(parser)
    announce_cases(parser)


def _begin(parser: ConfigParser) -> None:
    """Keep the results of an earlier run in the folder of a training that does not resume it."""
    resumes = "resume" in parser and flag(parser.get_parsed_content("resume"))
    key = next((key for key in ("run_dir", "output_dir") if key in parser), None)
    if key is not None and not (resumes and (Path(parser.get_parsed_content(key)) / checkpoints.FILE).is_file()):
        keep_earlier_run(parser.get_parsed_content(key))


def running_workflow() -> ConfigWorkflow:
    """Return the bundle workflow whose ``run`` calls this function's caller.

    Raises:
        PreflightError: No workflow is running.
    """
    workflow = find_workflow()
    if workflow is None:
        raise PreflightError("No bundle workflow is running. Call preflight in the run list of a bundle's config.")
    return workflow


def check_roi(roi_size: Sequence[int], network: Any) -> None:
    """Check that ``roi_size`` (D, H, W) in voxels fits the strides of the network's backbone.

    The strides of a network compiled by TensorRT are unknown, so any three positive whole numbers are accepted.

    Raises:
        PreflightError: The size does not fit; the message names the nearest size that does.
    """
    backbone = backbone_of(network)
    stride = 1 if isinstance(backbone, torch.jit.ScriptModule) else backbone.encoder_strides[-1]
    if len(roi_size) != 3 or any(not isinstance(side, int) or side < 1 for side in roi_size):
        raise PreflightError(f"roi_size must be three positive whole numbers of voxels, got {roi_size}.")
    if any(side % stride for side in roi_size):
        fitting = [max(stride, round(side / stride) * stride) for side in roi_size]
        raise PreflightError(
            f"roi_size {list(roi_size)} does not fit the network: each side must be a multiple of {stride}. "
            f"The nearest size that fits is {fitting}."
        )


def check_parts(loss: Any, method: Method) -> None:
    """Check that a ``WeightedSum`` has weights only for parts that the method returns.

    Raises:
        PreflightError: A weight has no part; the message names the parts of the method.
    """
    unknown = [name for name in loss.weights if name not in method.parts] if isinstance(loss, WeightedSum) else []
    if unknown:
        raise PreflightError(
            f"loss#weights names {', '.join(unknown)}; the parts of {type(method).__name__} are "
            f"{', '.join(method.parts)}."
        )


def check_apart(output_dir: str | Path, items: Sequence[Any]) -> None:
    """Check that no image of ``items`` lies in ``output_dir``, because the next run would read its results as scans.

    Raises:
        PreflightError: An image lies there; the message names the folder.
    """
    folder = Path(output_dir).resolve()
    for item in items:
        for key in ("image", "fixed", "moving"):
            value = item.get(key) if isinstance(item, dict) else None
            for path in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(path, (str, Path)) and folder == Path(path).resolve().parent:
                    raise PreflightError(
                        f"output_dir {folder} holds the scans themselves, such as {path}: the next run would read the "
                        "results as scans. Choose another folder with --output_dir."
                    )


def check_overrides(config: dict[str, Any], configs: Path) -> None:
    """Refuse keys that no config of the bundle in ``configs`` knows, plain texts for components, and unknown targets.

    Raises:
        PreflightError: There are such keys; the message lists them with the nearest known names.
    """
    known = known_config(configs)
    unknown = unknown_keys(config, known)
    if unknown:
        lines = [f"  {key}    did you mean {' or '.join(near)}?" if near else f"  {key}" for key, near in unknown]
        raise PreflightError("no config of this bundle knows these keys:\n" + "\n".join(lines))
    texts = dict(plain_texts(config, known))
    if texts:
        meant = " Did you mean --dataset_dir?" if "dataset" in texts else ""
        named = [text for text in texts.values() if re.fullmatch(r"\w+(\.\w+)+", text)]
        example = {"_target_": named[0] if named else "module.Class"}
        raise PreflightError(f"{', '.join(texts)} must be a component, such as {example}, not a plain text.{meant}")
    lines = []
    for key, target, near in unknown_targets(config, known):
        remedy = f"Did you mean {near}?" if near else "Check its name, and that its folder is on PYTHONPATH."
        lines.append(f"{key}: there is no class or function {target}. {remedy}")
    if lines:
        raise PreflightError("\n".join(lines))
