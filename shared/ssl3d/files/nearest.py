"""Suggest a known name for an unknown one."""

import difflib
from collections.abc import Sequence


def did_you_mean(name: str, there: Sequence[str]) -> str:
    """Return "Did you mean" with the nearest known name, and a list of all names, for the end of a message.

    Args:
        name: Unknown name.
        there: Known names; may be empty.
    """
    near = difflib.get_close_matches(name, there, n=1)
    return "".join(f"Did you mean {found}? " for found in near) + f"There are: {', '.join(there) or 'none'}."
