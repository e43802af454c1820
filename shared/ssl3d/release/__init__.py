"""Prepare releases: benchmarks, export to other runtimes, packed bundles, zoos."""

from .bench.inference import bench_inference
from .bench.step import bench
from .exporting.export import export
from .packing.pack import pack
from .zoo.get import get
from .zoo.index import index
from .zoo.request import request
from .zoo.serve import server

__all__ = ["bench", "bench_inference", "export", "get", "index", "pack", "request", "server"]
