"""Read switches of a config, which the command line passes as text."""


def flag(value: object) -> bool:
    """Read a switch. The command line passes ``--amp false`` as the string ``"false"``, which Python takes as true.

    Args:
        value: A bool, or one of the words true, false, yes, no, on, off, 1, 0 in any letter case.

    Raises:
        ValueError: any other value.
    """
    word = str(value).strip().lower()
    if word in {"true", "yes", "on", "1"}:
        return True
    if word in {"false", "no", "off", "0"}:
        return False
    raise ValueError(f"Expected true or false, got {value!r}.")
