"""Values as the command line hands them over."""

from collections.abc import Sequence


def several(value: object) -> list:
    """One or more values as Fire hands them over: ``4``, ``"all"``, ``(4, "all")`` or ``"4,all"``."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, Sequence) else [value]
