"""Group files that are channels of one case, such as nnU-Net's ``case_0000.nii.gz`` and ``case_0001.nii.gz``."""

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

CHANNEL = re.compile(r"(.+)_(\d{4})")


def group_channels(
    images: Mapping[str, Path], labels: Collection[str], declared: int | None = None, expected: int | None = None
) -> dict[str, list[Path]]:
    """Group the images of a folder into cases.

    Four digits at the end of a name are a channel only if every name has them, every case has 0000 to n-1, and n is
    the same for all cases; or if the data set declares n channels; or if the label maps are named without the digits.
    If all files would be one case, digits are a channel only if that many channels are expected, since ``scan_0000`` to
    ``scan_0005`` may as well be six scans. Label maps whose names include the digits prove that they are no channel.

    Args:
        images: Case name, channel included, -> file.
        labels: Names of the label maps.
        declared: Number of channels that the data set declares; None if it does not.
        expected: Number of channels that the network takes; None if it is not known.

    Returns:
        Case name -> its files, in the order of the channels.
    """
    whole = {name: [file] for name, file in images.items()}
    cases: dict[str, dict[int, Path]] = defaultdict(dict)
    rest: dict[str, list[Path]] = {}
    for name, file in images.items():
        match = CHANNEL.fullmatch(name)
        if match and (declared is None or int(match[2]) < declared):
            cases[match[1]][int(match[2])] = file
        else:
            rest[name] = [file]
    if not cases or any(name in labels for name in images if name not in rest):
        return whole
    if declared == 1 and rest:
        return whole
    if declared is None:
        counts = {len(channels) for channels in cases.values()}
        complete = all(sorted(channels) == list(range(len(channels))) for channels in cases.values())
        several = len(cases) > 1 or counts == {1} or counts == {expected}
        by_label = bool(labels) and set(cases) >= set(labels)
        if rest or not (by_label or (complete and len(counts) == 1 and several)):
            return whole
    grouped = {name: [channels[number] for number in sorted(channels)] for name, channels in cases.items()}
    if any(len(files) > 1 for files in grouped.values()):
        name, files = next((name, files) for name, files in grouped.items() if len(files) > 1)
        logger.info(
            "Files whose names differ only in _0000, _0001, ... are read as channels of one case: %d files, %d cases, "
            "for example %s (%s).",
            len(images) - len(rest),
            len(grouped),
            name,
            ", ".join(file.name for file in files),
        )
    return grouped | {name: files for name, files in rest.items() if name not in grouped}
