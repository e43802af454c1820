"""Door to ssl3d: its modules are found here as scripts.networks, scripts.losses and so on."""

from importlib.util import find_spec
from pathlib import Path

packed = Path(__file__).with_name("ssl3d")  # the copy that a packed bundle carries comes first
installed = find_spec("ssl3d")
if not packed.is_dir() and installed is None:
    raise ImportError("This bundle needs ssl3d: `pip install .` in the root of its repository, or a packed bundle.")
__path__ = [str(packed)] if packed.is_dir() else list(installed.submodule_search_locations)
