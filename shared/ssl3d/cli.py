"""The ``ssl3d`` command: find the requested command, and load only that command."""

import difflib
import importlib
import inspect
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any

import fire

from .version import __version__

COMMANDS = {
    "bench": "measure a pre-training step, or inference on a large CT",
    "doctor": "look through a data set: what is there, what is wrong, what to do",
    "export": "write networks as TorchScript and ONNX, and check them",
    "pack": "pack bundles into zip files that run without ssl3d",
    "study": "compare starting weights and numbers of labels in one table",
    "synthesize": "write a data set of synthetic anatomy",
    "zoo": "index, serve and download packed bundles",
}
HELP = ("-h", "--help")


def main() -> None:
    """Run the command line.

    What the user can put right makes one line on stderr and exit status 2; Ctrl-C makes one line and status 130.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    words = sys.argv[1:]
    if not words or words[0] in HELP:
        print(_overview())
        return
    if words[0] == "--version":
        print(f"ssl3d {__version__}")
        return
    try:
        command = _command(words[0])
        # `from` is a word of Python's, so that no argument can be called so
        arguments = [re.sub(r"^--from(?==|$)", "--from_", word) for word in words[1:]]
        if set(arguments) & set(HELP):  # by Fire's own separator: a command that takes any flag would take this one
            arguments = [*(word for word in arguments[:1] if not inspect.isroutine(command)), "--", "--help"]
        else:
            check_flags(command, arguments)
        fire.Fire({words[0]: command}, [words[0], *arguments], name="ssl3d")
    except (ImportError, ValueError, OSError, RuntimeError) as error:
        print(f"ssl3d: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        print(f"\nssl3d: {error or 'interrupted.'}", file=sys.stderr)
        sys.exit(130)


def _overview() -> str:
    rows = [f"  {name:12}{what}" for name, what in COMMANDS.items()]
    return "\n".join(["ssl3d COMMAND ..., where COMMAND is one of", *rows, "`ssl3d COMMAND --help` shows an example."])


def _command(name: str) -> Any:
    """Load the function of a command, or the object whose methods are its commands.

    Raises:
        ValueError: An unknown name.
    """
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(f"unknown command {name!r}.{meant} The commands are {', '.join(COMMANDS)}.")
    return getattr(importlib.import_module(f".commands.{name}", __package__), name)


def check_flags(command: Any, words: Sequence[str]) -> None:
    """Check that a command knows every flag, before it does anything.

    Args:
        command: The function, or an object whose methods are commands.
        words: Words of the command line after the command's name.

    Raises:
        ValueError: An unknown flag, with the nearest that is known; or an unknown command of the object.
    """
    if not inspect.isroutine(command):
        methods = [name for name in vars(type(command)) if not name.startswith("_")]
        if not words or words[0] not in methods:
            raise ValueError(f"{type(command).__name__.lower()} needs one of {', '.join(methods)}; add --help.")
        check_flags(getattr(command, words[0]), words[1:])
        return
    parameters: dict[str, Any] = dict(inspect.signature(command).parameters)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return  # it checks them itself
    for word in words:
        name = re.sub(r"=.*", "", word[2:], flags=re.DOTALL).replace("-", "_")
        if not word.startswith("--") or word == "--" or name in parameters:
            continue
        known = [key for key, value in parameters.items() if value.kind is not value.VAR_POSITIONAL]
        near = difflib.get_close_matches(name, known, n=1)
        meant = f" Did you mean --{near[0]}?" if near else f" The flags are {', '.join(f'--{key}' for key in known)}."
        raise ValueError(f"unknown flag --{name}.{meant.replace('--from_', '--from')}")


if __name__ == "__main__":
    main()
