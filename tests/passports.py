"""A passport for weights that tests write."""

from typing import Any

from ssl3d.weights import Passport


def some_passport(**changes: Any) -> Passport:
    """Return a valid passport with some fields changed."""
    fields = {
        "method": "supervised",
        "backbone": "UNet3d",
        "backbone_arguments": {},
        "part": "network",
        "network": "SegmentationNet",
        "corpus": [],
        "synthetic": False,
        "spacing": [1.0, 1.0, 1.0],
        "orientation": "RAS",
        "intensity": {"kind": "percentiles", "lower": 1, "upper": 99},
        "roi_size": [16, 16, 16],
        "steps": 0,
        "seed": 0,
        "ssl3d_version": "0.1.0",
        "licence": "CC0",
    }
    return Passport(**(fields | changes))
