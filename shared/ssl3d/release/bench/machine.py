"""Describe the machine and the process of a measurement."""

import os
import platform
import resource
import sys
from pathlib import Path

import torch

GIB = 2**30


def peak() -> float:
    """Return the largest resident set of this process so far in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GIB


def machine(load_before: float) -> str:
    """Describe threads, load average before and now, processor and torch, in two lines.

    Args:
        load_before: ``os.getloadavg()[0]`` at the start.
    """
    return (
        f"Threads: {torch.get_num_threads()} of {os.cpu_count()} CPUs; load average (1 minute): {load_before:.1f} "
        f"before, {os.getloadavg()[0]:.1f} after\nCPU: {_cpu()}; torch {torch.__version__}"
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
