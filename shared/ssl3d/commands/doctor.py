"""``ssl3d doctor``."""

import sys


def doctor(
    data: str,
    *more: str,
    json: bool | str = False,
    datalist: str | None = None,
    against: str | None = None,
    write: str | None = None,
) -> None:
    """Look through a data set before anything is trained on it: what is there, what is wrong, what to do.

    Reads every file once and shows sizes, spacing, orientation, intensities, labels, damaged files, copies, and
    settings for a bundle. No file is changed. Exit status: 0 when all cases can be trained on, 1 when a fault was
    found, 2 when the command could not run.

    Example: ssl3d doctor Task04_Hippocampus --write good.json

    Args:
        data: Folder with dataset.json (Decathlon), imagesTr and labelsTr (nnU-Net too), NIfTI images or DICOM files.
        more: Nothing, since one folder is expected.
        json: Whether to print one JSON document and nothing else.
        datalist: JSON file that lists the cases, absolute or relative to the folder.
        against: Another folder or JSON file; images that are in both would make a test say too much.
        write: New JSON file for the good cases, absolute or relative to the folder. No file is ever overwritten.
    """
    from ..doctor.examine import examine
    from ..doctor.table import show
    from ..engines import flag
    from ..files.readable_json import readable_json

    if more:
        raise ValueError(f"one folder is expected, got {data} {' '.join(map(str, more))}. Compare two with --against.")
    document = examine(
        str(data),
        datalist=None if datalist is None else str(datalist),
        against=None if against is None else str(against),
        write=None if write is None else str(write),
    )
    if flag(json):
        print(readable_json(document), end="")
    else:
        show(document)
    sys.exit(0 if document["good"] else 1)
