"""Write a network as TorchScript and as ONNX, and load the files again for comparison."""

import importlib.util
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...engines.network_parts import backbone_of
from .torchscript import drop_paths

OPSET = 20  # the first in which GridSample takes volumes
PACKAGES = "onnx", "onnxruntime", "onnxscript"
CHATTY = "torch.onnx", "onnxscript", "onnx_ir"  # loggers; a line for each constant they fold
ANY, FIXED = 1, 0  # steps of an input's sides; other numbers: multiples of it
LARGEST = 64  # coarsest cells along a side, and items of a batch, that the exporter reckons with


class Runtime(NamedTuple):
    """Network in one runtime.

    Attributes:
        name: Name in tables.
        call: Callable network; None if the export failed.
        step: Sides of the input are multiples of it; 0: those of the window only.
        note: Remark for the reader; if there is no ``call``, the reason.
        file: File that was written.
    """

    name: str
    call: Callable[[Tensor], Tensor] | None
    step: int = ANY
    note: str = ""
    file: Path | None = None


def check_packages() -> None:
    """Check that the packages for ONNX are installed.

    Raises:
        ImportError: a package is missing; the message says how to install it.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f"Exports need {', '.join(missing)}: pip install {' '.join(missing)}")


def to_torchscript(network: nn.Module, window: Tensor, file: Path, metadata: str) -> Runtime:
    """Write ``network`` as TorchScript: scripted, for any size, or traced where it cannot be scripted.

    Args:
        network: Network in evaluation mode, on the CPU.
        window: (1, C, D, H, W), of the size that a trace is for.
        file: Replaced when there.
        metadata: Kept in the file as ``metadata.json``, where MONAI looks for it.
    """
    step, note = ANY, ""
    try:
        module = torch.jit.script(network)
    except Exception as error:  # the compiler raises what it likes: RuntimeError, its own classes, TypeError
        step, note = FIXED, f"traced, since it cannot be scripted: {reason(error)}"
        with torch.no_grad():
            module = torch.jit.trace(network, window, check_trace=False)
    torch.jit.save(module, str(file), _extra_files={"metadata.json": metadata})
    drop_paths(file)
    return Runtime("TorchScript", torch.jit.load(str(file)), step, note, file)


def to_onnx(network: nn.Module, window: Tensor, file: Path, metadata: str, any_size: bool = True) -> Runtime:
    """Write ``network`` as ONNX, input ``image``, output ``pred``, and load it in ONNX Runtime.

    Batch and sides are free, the sides as multiples of the backbone's coarsest stride; where that fails, one item of
    the window's size. ONNX Runtime gets as many threads as torch has.

    Args:
        network: Network in evaluation mode, on the CPU.
        window: (1, C, D, H, W), of the size that is taken where the size is fixed.
        file: Replaced when there.
        metadata: Kept in the file as the property ``metadata.json``.
        any_size: False fixes the size, which makes the export several times faster.
    """
    notes: list[str] = []
    for step in [backbone_of(network).encoder_strides[-1]] * any_size + [FIXED]:
        try:
            save_onnx(network, window, file, metadata, step)
            return Runtime("ONNX Runtime", session(file), step, "; ".join(notes), file)
        except Exception as error:  # exporter and runtime have many classes, some without a common base
            file.unlink(missing_ok=True)
            notes.append(f"{'free' if step else 'fixed'} size: {reason(error)}")
    return Runtime("ONNX Runtime", None, FIXED, "; ".join(notes))


def save_onnx(network: nn.Module, window: Tensor, file: Path, metadata: str, step: int) -> None:
    """Write ``network`` as ONNX for multiples of ``step`` along each axis; 0: for the size of ``window`` alone."""
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    shapes = None
    if step:
        sides = [step * torch.export.Dim(name, min=1, max=LARGEST) for name in ("depth", "height", "width")]
        shapes = ({0: torch.export.Dim("batch", min=1, max=LARGEST), **dict(enumerate(sides, start=2))},)
        # what is 1 in the example counts as a constant
        window = window.new_zeros(2, window.shape[1], *(max(side, 2 * step) for side in window.shape[2:]))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between torch and its own exporter
        program = torch.export.export(network, (window,), dynamic_shapes=shapes)
        found: Any = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, input_names=["image"], output_names=["pred"], verbose=False
        )
    for node in found.model.graph.all_nodes():
        node.metadata_props.clear()  # source positions, which are absolute paths
    found.model.metadata_props["metadata.json"] = metadata
    found.save(str(file), external_data=False)


def session(file: Path) -> Callable[[Tensor], Tensor]:
    """Open an ONNX file in ONNX Runtime on the CPU, with torch's number of threads; return a callable network."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    running = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(running.run(["pred"], {"image": image.numpy()})[0])


def reason(error: BaseException) -> str:
    """Return the first line of the root cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def sizes(step: int, window: Sequence[int]) -> str:
    """Describe the input sizes that a runtime accepts."""
    if step == FIXED:
        return f"{' x '.join(map(str, window))} only"
    return "any" if step == ANY else f"multiples of {step}"
