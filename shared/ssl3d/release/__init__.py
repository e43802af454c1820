"""What a maintainer needs for a release: measured costs of a bundle."""

from .bench import bench
from .bench_inference import bench_inference

__all__ = ["bench", "bench_inference"]
