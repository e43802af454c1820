"""The kinds of synthetic anatomy: what makes a subject of each, and how its data set is described."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .head.anatomy import LABELS as HEAD_LABELS
from .head.appearance import MODALITIES as MR
from .head.subject import HIPPOCAMPUS_LABELS, brain_subject, hippocampus_subject
from .subject import Subject
from .torso.abdomen_anatomy import LABELS as ABDOMEN_LABELS
from .torso.chest_anatomy import CLASSES as CHEST_CLASSES
from .torso.heart_anatomy import LABELS as HEART_LABELS
from .torso.subject import abdominal_subject, chest_subject, heart_subject
from .torso.tissues import MODALITIES as CT


@dataclass(frozen=True)
class Kind:
    """One kind of synthetic anatomy.

    Attributes:
        make: ``make(seed, index, size, contrasts)`` gives a subject.
        labels: Names of the label ids, the background first; or of the classes.
        stem: The files are ``<stem>_000.nii.gz`` and so on.
        modalities: By contrast, the name that ``dataset.json`` gives it; the first contrast is the default.
        sized: Whether ``size`` sets the size of the volumes.
        from_label_maps: Whether a folder of label maps can replace the template.
    """

    make: Callable[[int, int, int, tuple[str, ...]], Subject]
    labels: Sequence[str]
    stem: str
    modalities: Mapping[str, str]
    sized: bool = True
    from_label_maps: bool = False


KINDS = {
    "brain_mri": Kind(brain_subject, HEAD_LABELS, "brain", MR, from_label_maps=True),
    "hippocampus_mri": Kind(hippocampus_subject, HIPPOCAMPUS_LABELS, "hippocampus", MR, sized=False),
    "abdominal_ct": Kind(abdominal_subject, ABDOMEN_LABELS, "abdomen", CT),
    "chest_ct": Kind(chest_subject, CHEST_CLASSES, "chest", CT),
    "heart_ct": Kind(heart_subject, HEART_LABELS, "heart", CT),
}
