"""Read and write named points: CSV, JSON, and the fiducials of 3D Slicer."""

import csv
import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files.texts import read_text

logger = logging.getLogger(__name__)

SLICER = ".mrk.json"
PLACED = "defined"  # Slicer's positionStatus; others are undefined, preview and missing
SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)
AXES = {"world": "xyz", "voxel": "ijk"}  # names of the columns of a CSV
# Names of coordinate systems in Slicer's files; the numbers are those of older versions.
SIGNS = {"RAS": (1, 1, 1), "0": (1, 1, 1), "LPS": (-1, -1, 1), "1": (-1, -1, 1)}


def read_points(path: str | Path, coordinates: str = "world") -> dict[str, tuple[float, float, float]]:
    """Read named points.

    Args:
        path: File of points. ``.csv``: columns ``name, x, y, z`` (voxels: ``name, i, j, k``). ``.mrk.json``: point
            lists of 3D Slicer, in LPS or RAS as the file says; points that were never placed are left out with a
            warning. Any other ``.json``: an object from each name to ``[x, y, z]`` or to an object with ``world``
            (``voxel``), as for synthetic landmarks.
        coordinates: ``world``, mm, RAS+; or ``voxel``, along the axes of the scan's file, 0 at the centre of the first
            voxel.

    Raises:
        ValueError: another extension or another word for the coordinates, Slicer's points as voxels, a file that cannot
            be read as such, a duplicate name, or a coordinate that is no finite number. The message names the file.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    kind = _kind(path, coordinates)
    try:
        text = read_text(path)
        entries = {"csv": _from_csv, "slicer": _from_slicer, "json": _from_json}[kind](text, coordinates)
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, RecursionError) as error:
        raise ValueError(
            f"{path} cannot be read as {kind} points: {type(error).__name__}: {error}. It needs names and "
            f"{', '.join(AXES[coordinates])} in {'mm' if coordinates == 'world' else 'voxels'}."
        ) from error
    points: dict[str, tuple[float, float, float]] = {}
    for name, place in entries:
        if name in points:
            raise ValueError(f"{path}: duplicate point name {name!r}. Point names must be unique.")
        if len(place) != 3 or not all(math.isfinite(value) for value in place):
            raise ValueError(f"{path}: point {name!r} must have three finite coordinates, got {place}.")
        x, y, z = place
        points[name] = (x, y, z)
    return points


def write_points(
    path: str | Path,
    points: Mapping[str, Sequence[float]],
    scores: Mapping[str, float] | None = None,
    coordinates: str = "world",
) -> None:
    """Write named points in the format of the ending, see :func:`read_points`; Slicer's in LPS, as Slicer does.

    Args:
        path: Output file, whose folder must exist.
        points: Name -> three numbers in ``coordinates``.
        scores: Scores of some or all points, written beside the points.
        coordinates: See :func:`read_points`.

    Raises:
        ValueError: another ending or word, Slicer's points as voxels.
    """
    path, scores = Path(path), scores or {}
    kind = _kind(path, coordinates)
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["name", *AXES[coordinates], *(["score"] if scores else [])])
            for name, place in points.items():
                writer.writerow([name, *place, *([scores.get(name, "")] if scores else [])])
        return
    content: dict[str, Any]
    if kind == "slicer":
        controls = []
        for number, (name, place) in enumerate(points.items(), start=1):
            position = [sign * value for sign, value in zip(SIGNS["LPS"], place, strict=True)]
            note = f"score {scores[name]:.3f}" if name in scores else ""
            controls.append({"id": str(number), "label": name, "description": note, "position": position})
        markup = {"type": "Fiducial", "coordinateSystem": "LPS", "coordinateUnits": "mm", "controlPoints": controls}
        content = {"@schema": SCHEMA, "markups": [markup]}
    else:
        content = {
            name: {coordinates: list(place), **({"score": scores[name]} if name in scores else {})}
            for name, place in points.items()
        }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _kind(path: Path, coordinates: str) -> str:
    if coordinates not in AXES:
        raise ValueError(f"coordinates must be one of {', '.join(AXES)}, got {coordinates!r}.")
    name = path.name.lower()
    if name.endswith(SLICER):
        if coordinates != "world":
            raise ValueError(f"{path}: 3D Slicer's points are in mm. Use coordinates=world, or a .csv or .json file.")
        return "slicer"
    if path.suffix.lower() in (".csv", ".json"):
        return path.suffix.lower()[1:]
    raise ValueError(f"{path}: points are read and written as .csv, .json or {SLICER}.")


def _from_csv(text: str, coordinates: str) -> list[tuple[str, list[float]]]:
    rows = csv.DictReader(text.splitlines())
    return [(row["name"], [float(row[axis]) for axis in AXES[coordinates]]) for row in rows]


def _from_json(text: str, coordinates: str) -> list[tuple[str, list[float]]]:
    def no_double(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            raise ValueError(f"duplicate name among {', '.join(names)}")
        return dict(pairs)

    content = json.loads(text, object_pairs_hook=no_double)
    places = {name: entry[coordinates] if isinstance(entry, dict) else entry for name, entry in content.items()}
    return [(name, [float(value) for value in place]) for name, place in places.items()]


def _from_slicer(text: str, coordinates: str) -> list[tuple[str, list[float]]]:
    entries, unplaced = [], []  # always in mm, because ``_kind`` has refused other coordinates
    for markup in json.loads(text)["markups"]:
        system, unit = str(markup.get("coordinateSystem", "LPS")), markup.get("coordinateUnits", "mm")
        if system not in SIGNS or unit != "mm":
            raise ValueError(f"coordinates in {system} and {unit}; only LPS or RAS in mm can be read")
        for control in markup["controlPoints"]:
            if control.get("positionStatus", PLACED) != PLACED:
                unplaced.append(f"{control.get('label')} ({control['positionStatus']})")
                continue
            position = [sign * float(value) for sign, value in zip(SIGNS[system], control["position"], strict=True)]
            entries.append((control["label"], position))
    if unplaced:
        logger.warning("Points of 3D Slicer that were not placed are left out: %s.", ", ".join(unplaced))
    return entries
