"""Reduce PNG files to 256 colours in place, so that pictures of the documentation stay small.

Example:
    python tools/shrink_pictures.py docs/registration.png bundles/*/docs/*.png
"""

import sys
from pathlib import Path

from PIL import Image


def shrink(file: Path) -> tuple[int, int]:
    """Reduce one file, unless it has no more colours already or would grow; return its sizes before and after."""
    before = file.stat().st_size
    with Image.open(file) as image:
        if image.mode == "P":
            return before, before
        small = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
    temporary = file.with_name(f".{file.name}")
    small.save(temporary, format="PNG", optimize=True)
    if temporary.stat().st_size < before:
        temporary.replace(file)
    temporary.unlink(missing_ok=True)
    return before, file.stat().st_size


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print("{}: {} -> {} bytes".format(name, *shrink(Path(name))))
