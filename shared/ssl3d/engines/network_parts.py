"""Tell a method from a task network, and find the backbone of either."""

from typing import Any, cast

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ..methods import Method


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside a distributed wrapper, or the network itself."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def method_of(network: nn.Module) -> Method | None:
    """Return the unwrapped network if it is a pre-training method, else None.

    A method is recognised by the name of its base class, not by its type. A user's method derives from
    ``ssl3d.methods.Method``, but a packed bundle runs the copy of this package in its ``scripts``, which has classes of
    its own.
    """
    network = unwrapped(network)
    bases = {(cls.__name__, ".".join(cls.__module__.split(".")[-2:])) for cls in type(network).__mro__}
    return cast(Method, network) if ("Method", "methods.base") in bases else None


def task_network(network: nn.Module) -> Any:
    """Return the student of a method, else the task network itself."""
    method = method_of(network)
    return unwrapped(network) if method is None else method.student


def backbone_of(network: nn.Module) -> Any:
    """Return the backbone of a method's student or of a task network; a backbone is returned as it is."""
    network = task_network(network)
    return getattr(network, "backbone", network)
