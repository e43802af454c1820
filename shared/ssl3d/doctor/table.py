"""Print the findings of ``examine`` as tables for 80 columns, or more if file names are long."""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..data.splits import SECTIONS
from ..files.texts import printable

AXES = ("left-right", "back-front", "feet-head")
SPREAD = ("lowest", "median", "highest")
ALWAYS = ("dataset_dir", "datalist", "split", "pixdim", "roi_size", "skip_bad")  # settings that every bundle has


def show(document: Mapping[str, Any], console: Any = None) -> None:
    """Print ``examine``'s document.

    Args:
        document: Result of ``examine``.
        console: A ``rich.console.Console``; None: standard output.
    """
    from rich.console import Console

    console = console or Console(highlight=False)
    console.print(_overview(document))
    if document["images"]:
        console.print(_numbers(document["images"]))
    if document["labels"]:
        console.print(_labels(document["labels"], document["cases"]["labelled"]))
    for fatal, word, style in ((True, "fault", "bold red"), (False, "warning", "bold yellow")):
        found = [fault for fault in document["faults"] if fault["fatal"] == fatal]
        if found:
            title = f"{len(found)} {word}{'s' * (len(found) > 1)}"
            console.print(_faults(found, f"{document['folder']}/", _text(title, style)))
    console.print(_verdict(document))
    if document["written"]:
        console.print(_text(f"The good cases are listed in {document['written']}\n"), soft_wrap=True)
    if document["images"]:
        console.print(printable("\n".join(_commands(document))), soft_wrap=True, markup=False)


def _table(*columns: str, **options: Any) -> Any:
    from rich import box
    from rich.table import Table

    return Table(*columns, box=box.ROUNDED, title_justify="left", title_style="bold", **options)


def _text(value: object, style: str = "") -> Any:
    """Return text in which brackets, as in file names, are not treated as markup."""
    from rich.text import Text

    return Text(printable(str(value)), style, overflow="fold")


def _overview(document: Mapping[str, Any]) -> Any:
    from rich.table import Table

    cases, images = document["cases"], document["images"]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_row("Data set", _text(f"{document['name']} (licence {document['licence']})"))
    table.add_row("", _text(document["datalist"] or document["folder"]))
    sections = ", ".join(f"{count} for {section}" for section, count in cases["sections"].items())
    labelled = {cases["total"]: "all with a label", 0: "none with a label"}
    with_label = labelled.get(cases["labelled"], f"{cases['labelled']} with a label")
    table.add_row("Cases", f"{sections or 'none'}; {with_label}")
    for title, line in _division(document["split"]).items():
        table.add_row(title, _text(line))
    if images:
        channels = "; ".join(f"{n} channel{'s' * (n != '1')} in {count}" for n, count in images["channels"].items())
        table.add_row("Channels", channels if len(images["channels"]) > 1 else channels.split(" in ")[0])
        for title, key in (("Types", "types"), ("Axes", "axes")):
            table.add_row(title, ", ".join(f"{value} in {count}" for value, count in images[key].items()))
        readable = sum(images["channels"].values())
        other = "no Hounsfield units: MR, another modality, or a CT without its intercept"
        kind = {readable: "Hounsfield units: CT", 0: other}
        mixed = f"Hounsfield units in {images['hounsfield']} of {readable}: CT and something else?"
        table.add_row("Intensities", kind.get(images["hounsfield"], mixed))
    return table


def _division(split: Mapping[str, Any]) -> dict[str, str]:
    """Return the rows on sections and patients."""
    parts = ", ".join(f"{split[section]} for {section}" for section in SECTIONS if split[section])
    rows = {"Split": f"{parts} ({split['how']})"} if parts else {}
    if split["told_by"]:
        rows["Patients"] = f"{split['patients']}, told by {split['told_by']}; scans of one patient stay together"
    return rows


def _numbers(images: Mapping[str, Any]) -> Any:
    table = _table("Images", "")
    for name in SPREAD:
        table.add_column(name, justify="right")
    intensities = [f"{percent:g} %" for percent in images["percentiles"]["of"]]
    for title, key, names in (
        ("spacing, mm", "spacing", AXES),
        ("size, voxels", "size", AXES),
        ("intensity, percentile", "percentiles", intensities),
    ):
        for number, name in enumerate(names):
            values = [_number(images[key][column][number]) for column in SPREAD]
            table.add_row("" if number else title, name, *values, end_section=name == names[-1])
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if 100 <= abs(value) < 1e7 else f"{value:.3g}"


def _labels(labels: list[Mapping[str, Any]], labelled: int) -> Any:
    table = _table("Label", "name")
    for name in (f"in how many of {labelled} cases", "voxels", "share"):
        table.add_column(name, justify="right")
    total = sum(label["voxels"] for label in labels)
    for label in labels:
        share = f"{100 * label['voxels'] / total:.2g} %" if total else ""
        style = "" if label["cases"] else "yellow"
        row = (label["id"], label["name"], label["cases"], f"{label['voxels']:,}", share)
        table.add_row(*(_text(value, style) for value in row))
    return table


def _faults(faults: Iterable[Mapping[str, Any]], folder: str, title: Any) -> Any:
    """Return one row per kind of fault, with all its files; paths are relative to ``folder`` if they lie below."""
    files: dict[tuple[str, str], list[str]] = {}
    for fault in faults:
        files.setdefault((fault["problem"], fault["remedy"]), []).append(fault["file"].removeprefix(folder))
    table = _table(title=title, show_header=False, show_lines=True, expand=True)
    table.add_column(ratio=2)
    table.add_column(ratio=3)
    for (problem, remedy), names in files.items():
        text = _text(f"{problem.replace(folder, '')}.\n").append(f"{remedy.rstrip('?')}.", "dim")
        table.add_row(_text("\n".join(names)), text)
    return table


def _verdict(document: Mapping[str, Any]) -> Any:
    good, total = document["cases"]["good"], document["cases"]["total"]
    if document["good"]:
        warnings = " Read the warnings." if document["faults"] else ""
        return _text(f"Good: all {total} cases can be trained on.{warnings}\n", "bold green")
    text = f"Not good yet: {good} of {total} cases can be trained on."
    if good and not document["written"]:
        text += " Fix the others, or list the good ones with --write good.json."
    return _text(f"{text}\n", "bold red")


def _commands(document: Mapping[str, Any]) -> Iterator[str]:
    settings, folds, bundle = document["settings"], document["folds"], document["bundle"]
    if folds:
        yield f"For a bundle: {document['cases']['labelled']} labelled cases are too few for a validation section."
        yield "Cross-validate instead, which scores every case once (docs/cases.md):"
        words = ("bundles/" + bundle, printable(settings["dataset_dir"]), "my_study")
        yield f"ssl3d study {shlex.join(words)} --labels all --folds {folds} \\"
        yield _options(settings, [key for key in settings if key != "dataset_dir"])
    else:
        yield f"For a bundle, for instance in bundles/{bundle}:"
        yield "python -m monai.bundle run --config_file configs/train.json \\"
        pretrains = bundle.endswith("_pretraining")
        yield _options(settings, [key for key in settings if key in ALWAYS or not pretrains])
        more = [key for key in settings if key not in ALWAYS and pretrains]
        if more:
            yield "and where it learns these labels or channels:"
            yield _options(settings, more)
    if document["window"]:
        low, high = document["window"]
        yield f"CT window: {low} to {high} HU, as a_min and a_max where a bundle scales by a window."


def _options(settings: Mapping[str, Any], keys: Iterable[str]) -> str:
    return " \\\n".join(_option(key, settings[key]) for key in keys)


def _option(key: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"    --{key} {shlex.quote(text)}"
