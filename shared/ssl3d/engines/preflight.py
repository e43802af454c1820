"""Everything that can be wrong with a run is said before it costs any training time."""

import inspect
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch.distributed as dist
from monai.bundle import ConfigWorkflow

from .cases import announce_cases
from .memory import keep_freed_memory
from .monai_label import adopt_checkpoint_loader
from .overrides import unknown_keys
from .start import backbone_of


class PreflightError(ValueError):
    """A run that cannot go well, with what to change."""


def preflight() -> None:
    """Check overrides, output folder, ROI, data, weights and all components of the bundle workflow that is running.

    First entry of each ``run`` list, as ``{"_target_": "scripts.engines.preflight"}``. The workflow is found on the
    call stack, since an expression sees the merged config no other way. The engine that the run list names is built
    here, which is no extra work: the run uses the same object. The process keeps the memory that steps free.

    Raises:
        PreflightError: with what is wrong and what to do; the error that was met first is its cause. Where the run was
            started by ``python -m monai.bundle`` the program ends with that sentence and no traceback.
    """
    keep_freed_memory()
    workflow = running_workflow()
    try:
        _check(workflow)
    except (OSError, RuntimeError, ValueError) as error:
        root: BaseException = error
        while isinstance(root, RuntimeError) and root.__cause__ is not None:  # MONAI wraps what a component raises
            root = root.__cause__
        if Path(sys.argv[0]).parts[-2:] == ("bundle", "__main__.py"):
            sys.exit(f"\nStopped before training: {root}")
        raise PreflightError(str(root)) from root


def _check(workflow: ConfigWorkflow) -> None:
    parser = workflow.parser
    adopt_checkpoint_loader(parser)
    check_overrides(parser.get(), Path(workflow.config_root_path))
    if "output_dir" in parser:
        check_writable(parser.get_parsed_content("output_dir"))
    if "roi_size" in parser and "network_def" in parser:
        network, roi_size = parser.get_parsed_content("network_def"), parser.get_parsed_content("roi_size")
        check_roi(roi_size, network)
        if hasattr(network, "check_settings") and "batch_size" in parser:  # a method that asks for more
            processes = dist.get_world_size() if dist.is_initialized() else 1
            network.check_settings(roi_size, parser.get_parsed_content("batch_size") * processes)
    for engine in re.findall(r"@([\w#:]+)\.run\(\)", " ".join(map(str, parser.get("run")))):
        parser.get_parsed_content(engine)  # reads the data, loads the weights, builds all that the run needs
    announce_cases(parser)


def running_workflow() -> ConfigWorkflow:
    """The bundle workflow whose ``run`` calls this function's caller.

    Raises:
        PreflightError: where no workflow is running.
    """
    frame = inspect.currentframe()
    while frame is not None:
        workflow = frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow):
            return workflow
        frame = frame.f_back
    raise PreflightError("preflight belongs into the run list of a bundle's config; no bundle workflow is running.")


def check_writable(folder: str | Path) -> None:
    """Make ``folder`` and write to it once.

    Raises:
        PreflightError: when that is not possible.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PreflightError(
            f"output_dir {Path(folder).absolute()} cannot be written ({error.strerror}). "
            "Choose another with --output_dir."
        ) from error


def check_roi(roi_size: Sequence[int], network: Any) -> None:
    """Check that ``roi_size`` (D, H, W) in voxels fits the strides of the network's backbone.

    A network compiled by TensorRT does not tell its strides; three whole numbers are all that is asked for then.

    Raises:
        PreflightError: with the nearest size that does.
    """
    stride = getattr(backbone_of(network), "encoder_strides", (1,))[-1]
    if len(roi_size) != 3 or any(not isinstance(side, int) or side < 1 for side in roi_size):
        raise PreflightError(f"roi_size must be three positive whole numbers of voxels, got {roi_size}.")
    if any(side % stride for side in roi_size):
        fitting = [max(stride, round(side / stride) * stride) for side in roi_size]
        raise PreflightError(
            f"roi_size {list(roi_size)} does not fit the network: each side must be a multiple of {stride}. "
            f"The nearest that does is {fitting}."
        )


def check_overrides(config: dict[str, Any], configs: Path) -> None:
    """Stop on keys that no config of the bundle in ``configs`` knows; see ``unknown_keys``.

    Raises:
        PreflightError: naming each, with the nearest known names.
    """
    unknown = unknown_keys(config, configs)
    if unknown:
        lines = [f"  {key}    did you mean {' or '.join(near)}?" if near else f"  {key}" for key, near in unknown]
        raise PreflightError("no config of this bundle knows these keys:\n" + "\n".join(lines))
