"""Write the classes of a segmentation into a bundle's metadata, where MONAI Label and other servers read them."""

from collections.abc import Sequence
from typing import Any

from ..data import same_names

DEMO = " (demo)"  # suffix of label names of weights trained on synthetic anatomy


def describe_classes(metadata: dict[str, Any], label_names: Sequence[str]) -> None:
    """Update the classes in the content of ``metadata.json`` when weights of other classes are published.

    Args:
        metadata: Content of the file; channels of ``pred``, ``label_classes`` and ``pred_classes`` change in place.
        label_names: Names of the classes 1, 2 and so on. No names, or the present ones, change nothing.
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
