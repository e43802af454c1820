"""What a maintainer needs for a release: measured costs of a bundle."""

from .bench import bench

__all__ = ["bench"]
