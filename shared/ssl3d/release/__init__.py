"""What a maintainer needs for a release: measured costs, networks for other runtimes, packed bundles, zoos of them."""

from .bench import bench
from .bench_inference import bench_inference
from .export import export
from .pack import pack
from .zoo_get import get
from .zoo_index import index
from .zoo_request import request
from .zoo_serve import server

__all__ = ["bench", "bench_inference", "export", "get", "index", "pack", "request", "server"]
