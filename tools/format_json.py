"""Formats the bundles' JSON files for people: four spaces, short objects and lists on one line of 120 columns.

Example:
    python tools/format_json.py bundles/*/configs/*.json
    python tools/format_json.py --check bundles/*/configs/*.json
"""

import argparse
import json
from pathlib import Path

from ssl3d.files.readable_json import readable_json


def main() -> None:
    """Format the named files, or with ``--check`` fail where one is not formatted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 where a file would change")
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    changed = []
    for file in arguments.files:
        text = file.read_text(encoding="utf-8")
        new = readable_json(json.loads(text))
        if new != text:
            changed.append(str(file))
            if not arguments.check:
                file.write_text(new, encoding="utf-8")
    if changed:
        print(("not formatted: " if arguments.check else "formatted: ") + ", ".join(changed))
    raise SystemExit(1 if changed and arguments.check else 0)


if __name__ == "__main__":
    main()
