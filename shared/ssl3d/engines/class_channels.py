"""The classes of a segmentation in a bundle's metadata, from which MONAI Label and other servers take them."""

from collections.abc import Sequence
from typing import Any

from ..data import same_names

DEMO = " (demo)"  # end of the names of weights that were trained on synthetic anatomy


def describe_classes(metadata: dict[str, Any], label_names: Sequence[str]) -> None:
    """Make the content of ``metadata.json`` tell of other classes, where weights of other classes are published.

    Args:
        metadata: Changed in place: channels of ``pred``, ``label_classes`` and ``pred_classes``.
        label_names: Names of the classes 1, 2 and so on; none, or the ones that are there, change nothing.
    """
    output = metadata.get("network_data_format", {}).get("outputs", {}).get("pred", {})
    names = ["background", *label_names]
    before = [str(name).removesuffix(DEMO) for _, name in sorted(_numbered(output.get("channel_def", {})))]
    if not label_names or same_names(before, names):
        return
    output |= {"num_channels": len(names), "channel_def": {str(i): name for i, name in enumerate(names)}}
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(names))
    metadata |= {"label_classes": f"one channel: {listed}", "pred_classes": f"{len(names)} channels, logits: {listed}"}


def _numbered(channels: dict[str, str]) -> list[tuple[int, str]]:
    return [(int(number), name) for number, name in channels.items()]
