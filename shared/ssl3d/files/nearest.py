"""What a user may have meant by a name that is not there."""

import difflib
from collections.abc import Sequence


def did_you_mean(name: str, there: Sequence[str]) -> str:
    """Return "Did you mean" with the nearest known name, and a list of all names, for the end of a message.

    Args:
        name: That is not there.
        there: Names; may be empty.
    """
    near = difflib.get_close_matches(name, there, n=1)
    return "".join(f"Did you mean {found}? " for found in near) + f"There are: {', '.join(there) or 'none'}."
