"""Tell a method from a task network, and find the backbone of either."""

from typing import Any, cast

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..methods import Method


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside a distributed wrapper, or the network itself."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def method_of(network: nn.Module) -> Method | None:
    """Return the network, unwrapped, where it is a pre-training method, else None.

    A method is known by the name of its base class: one of a user's own derives from ``ssl3d.methods.Method``, and a
    bundle runs the copy of this package below its ``scripts``, whose classes are others.
    """
    network = unwrapped(network)
    bases = {(cls.__name__, ".".join(cls.__module__.split(".")[-2:])) for cls in type(network).__mro__}
    return cast(Method, network) if ("Method", "methods.base") in bases else None


def task_network(network: nn.Module) -> Any:
    """Return the student of a method, or a task network itself."""
    method = method_of(network)
    return unwrapped(network) if method is None else method.student


def backbone_of(network: nn.Module) -> Any:
    """Return the backbone of a method's student or of a task network, or the network itself where it is one."""
    network = task_network(network)
    return getattr(network, "backbone", network)
