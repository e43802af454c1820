"""Find images that occur twice, or also in another data set, because copies leak from training into the test."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from ..data.checks import Fault
from .facts import Case, ImageFacts, LabelFacts

HELD_OUT_FIRST = ("test", "validation", "training")  # order in which to keep one of two copies
SEVERAL = 5  # with fewer label maps, an id that occurs in one map only is nothing unusual
KEEP_ONE = "Leave it out, for instance by the list that --write makes"


def find_copies(cases: Sequence[Case]) -> None:
    """Add a fault to each case that shares an image with another case, except to the best case to keep."""
    ordered = sorted(cases, key=lambda case: (not case.good, HELD_OUT_FIRST.index(case.section)))
    first: dict[str, tuple[Case, ImageFacts]] = {}
    for case, image in _images(ordered):
        kept, original = first.setdefault(image.voxels, (case, image))
        if original is image:
            continue
        how = "byte for byte" if original.sha256 == image.sha256 else "the same voxels, stored otherwise"
        if kept is case:
            problem = f"a copy of {original.file} ({how}), two channels of one case"
            case.faults.append(Fault(image.file, problem, "Give each channel its own file"))
        elif kept.section == case.section:
            case.faults.append(Fault(image.file, f"a copy of {original.file} ({how})", KEEP_ONE))
        else:
            problem = f"a copy of {original.file} ({how}) in {kept.section}: its score would be of an image trained on"
            case.faults.append(Fault(image.file, problem, KEEP_ONE))


def find_odd_labels(cases: Sequence[Case], known: Collection[int]) -> None:
    """Warn of a label map of two images, and of an id that occurs in one map only and is not ``known``."""
    good = [(case, case.label) for case in cases if case.good and case.label is not None]
    labelled = [(case, label) for case, label in good if set(label.ids) - {0}]
    first: dict[str, tuple[Case, LabelFacts]] = {}
    for case, label in labelled:
        other, original = first.setdefault(label.voxels, (case, label))
        if {image.voxels for image in case.images} != {image.voxels for image in other.images}:
            problem = f"the same label map as {original.file}, beside another image"
            remedy = "Check which image it belongs to; two contrasts of one person belong into one section"
            case.faults.append(Fault(label.file, problem, remedy, fatal=False))
    holding = Counter(number for _, label in labelled for number in label.ids)
    for case, label in labelled if len(labelled) >= SEVERAL else []:
        for number in sorted(number for number in label.ids if holding[number] == 1 and number not in known):
            count = label.ids[number]
            problem = f"label id {number} ({count} voxel{'s' * (count > 1)}), which no other label map has"
            case.faults.append(Fault(label.file, problem, "Check that it is no mistake", fatal=False))


def find_leaks(cases: Sequence[Case], others: Sequence[Case], where: str) -> None:
    """Add a fault to each case whose image is also in another data set, and a warning if only its name is."""
    by_voxels = {image.voxels: image for _, image in _images(others)}
    names = {case.name for case in others}
    for case in cases:
        shared = [image for image in case.images if image.voxels in by_voxels]
        for image in shared:
            theirs = by_voxels[image.voxels]
            how = "byte for byte" if theirs.sha256 == image.sha256 else "the same voxels, stored otherwise"
            problem = f"also in {where}: {theirs.file} ({how})"
            case.faults.append(Fault(image.file, problem, "Leave it out of one of the two: train and test on others"))
        if not shared and case.name in names:
            problem = f"a case of this name is in {where} too, with other voxels"
            case.faults.append(Fault(case.files[0], problem, "Make sure that it is another person", fatal=False))


def _images(cases: Sequence[Case]) -> Iterator[tuple[Case, ImageFacts]]:
    return ((case, image) for case in cases for image in case.images)
