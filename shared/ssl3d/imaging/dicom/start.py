"""Recognise DICOM files without a preamble, as older archives and some toolkits write them."""

import struct
from typing import Any

EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
REPRESENTATIONS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL UN US UT OB OW".split())
GROUPS = (0x0002, 0x0008)  # a data set begins with its file information, else with the identification of the image
LONGEST = 1024  # bytes of the first value


def begins_like_dicom(start: bytes) -> bool:
    """Return whether bytes begin a DICOM data set, in explicit or implicit VR, little or big endian."""
    if len(start) < 16:
        return False
    for order in "<>":
        group, element = struct.unpack(f"{order}HH", start[:4])
        if group not in GROUPS or element > 0x0100:
            continue
        if start[4:6] in REPRESENTATIONS:
            return True
        (length,) = struct.unpack(f"{order}I", start[4:8])
        if order == "<" and 0 < length <= LONGEST and length % 2 == 0:
            return struct.unpack("<H", start[8 + length : 10 + length] or b"\x08\x00")[0] >= group
    return False


def encoding(dataset: Any) -> str:
    """Return the UID of the transfer syntax that pydicom detected, for files that do not declare one."""
    implicit, little = dataset.original_encoding
    if implicit is None:
        return ""
    return (IMPLICIT if implicit else EXPLICIT) if little else BIG_ENDIAN
