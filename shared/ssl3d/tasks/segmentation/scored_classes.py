"""Convert predictions and label maps of a segmentation to the form that scores compare."""

from collections.abc import Hashable, Mapping
from typing import Any

from monai.config import KeysCollection
from monai.transforms import AsDiscrete, MapTransform

from ...weights.classes import Classes


class ScoredClassesd(MapTransform):
    """Make one channel of zeros and ones for each class that the data set has, background first.

    Of logits (C, D, H, W) the class with the largest logit is taken. A volume of one channel holds class numbers.

    Args:
        classes: Classes of the network and of the data set.
        keys: Keys of predictions and labels.
    """

    def __init__(self, classes: Classes, keys: KeysCollection = ("pred", "label")) -> None:
        super().__init__(keys)
        self.annotated = list(classes.annotated)
        self.all = self.annotated == list(range(classes.channels))
        self.of_logits = AsDiscrete(argmax=True, to_onehot=classes.channels)
        self.of_numbers = AsDiscrete(to_onehot=classes.channels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the channels in place of the volumes."""
        d = dict(data)
        for key in self.key_iterator(d):
            one_hot = (self.of_numbers if d[key].shape[0] == 1 else self.of_logits)(d[key])
            d[key] = one_hot if self.all else one_hot[self.annotated]
        return d
