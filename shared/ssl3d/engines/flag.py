"""Switches of a config, as the command line really hands them over."""


def flag(value: object) -> bool:
    """Read a switch: the command line gives ``--amp false`` as the string ``"false"``, which is true to Python.

    Args:
        value: A bool, or one of the words true, false, yes, no, on, off, 1, 0 in any case.

    Raises:
        ValueError: for anything else, naming it.
    """
    word = str(value).strip().lower()
    if word in {"true", "yes", "on", "1"}:
        return True
    if word in {"false", "no", "off", "0"}:
        return False
    raise ValueError(f"Expected true or false, got {value!r}.")
