"""Write the command line of a run in a form that may be published: without local paths and folder names."""

import os
import shlex
import sys
from pathlib import PurePath

PATHS = {
    "app", "bundle_root", "conf", "datalist", "dataset_dir", "fixed", "fixed_label", "matcher_weights", "model_dir",
    "moving", "moving_label", "output_dir", "points", "studies", "template", "weights",
}  # fmt: skip
CONFIGS = ("config_file", "meta_file", "args_file", "logging_file")
VARIABLE = "SSL3D_DATA"


def public_command() -> str:
    """Return the command line of this process, each path replaced by the name of its setting: ``DATASET_DIR``.

    Names of bundles stay. Config files keep their folder ``configs``. Paths below the folder ``$SSL3D_DATA`` stay
    relative to that folder.
    """
    words: list[str] = []
    flag = ""
    for word in sys.orig_argv[1:]:
        name, equals, value = word.partition("=")
        if word[:2] == "--" and equals:
            words.append(f"{name}={_public(name[2:], value)}")
            flag = ""
        elif word[:1] == "-" and not word[1:2].isdigit():
            words.append(word)
            flag = word[2:]
        else:
            words.append(_public(flag, word))
            flag = ""
    return " ".join(_quoted(word) for word in ["python", *words])


def _public(flag: str, value: str) -> str:
    data = os.environ.get(VARIABLE)
    if data and (value == data or value.startswith(data.rstrip("/") + "/")):
        return f"${VARIABLE}{value[len(data.rstrip('/')) :]}"
    if flag in CONFIGS or (not flag and (value[:1] == "[" or value.endswith(".json"))):
        return _configs(value)
    if flag in PATHS or (_is_path(value) and flag):
        return flag.upper().replace("#", "_") or "PATH"
    return PurePath(value).name if _is_path(value) else value


def _is_path(value: str) -> bool:
    return value[:1] not in ("$", "@", "%", "[", "{", "") and (value[0] == "~" or "/" in value or os.path.exists(value))


def _configs(value: str) -> str:
    """Shorten the path of a config file, or of each file in a list, to its last folder and name."""
    parts = value.strip("[]").split(",")
    short = []
    for part in parts:
        bare = part.strip().strip("'\"")
        path = PurePath(bare)
        inner = str(PurePath(*path.parts[-2:])) if path.is_absolute() or ".." in path.parts else bare
        short.append(part.replace(bare, inner) if bare else part)
    text = ",".join(short)
    return f"[{text}]" if value[:1] == "[" else text


def _quoted(word: str) -> str:
    """Quote ``word`` for a shell; a list of configs holds single quotes and gets double ones."""
    if word.startswith(f"${VARIABLE}"):
        return word if " " not in word else f'"{word}"'
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)
