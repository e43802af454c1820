"""``python -m ssl3d`` is the command ``ssl3d``."""

from .cli import main

main()
