"""What a user may have meant by a name that is not there."""

import difflib
from collections.abc import Sequence


def did_you_mean(name: str, there: Sequence[str]) -> str:
    """A question with the nearest of the names that there are, and a list of all, for the end of a message.

    Args:
        name: that is not there.
        there: names; may be empty.
    """
    near = difflib.get_close_matches(name, there, n=1)
    return "".join(f"Did you mean {found}? " for found in near) + f"There are: {', '.join(there) or 'none'}."
