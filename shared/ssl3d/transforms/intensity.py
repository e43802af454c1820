"""Scale intensities by percentiles, also if nearly all voxels have the same value."""

from typing import Any

import numpy as np
from monai.config import DtypeLike, KeysCollection, NdarrayOrTensor
from monai.transforms import ScaleIntensityRange, ScaleIntensityRangePercentiles, ScaleIntensityRangePercentilesd
from monai.transforms.utils_pytorch_numpy_unification import percentile
from monai.utils import convert_to_tensor

EQUAL = 1e-6  # share of the range of all values; closer percentiles differ only by rounding errors


class ScalePercentiles(ScaleIntensityRangePercentiles):
    """MONAI's ``ScaleIntensityRangePercentiles``, also for volumes of which nearly all voxels have the same value.

    If both percentiles are equal, MONAI (1.6.1) subtracts the lower one and neither scales nor clips, so a masked crop
    keeps values in the thousands. Here the percentiles are then taken from the voxels that differ from that value. If
    these are equal as well, minimum and maximum are taken. If the percentiles differ, results equal those of MONAI bit
    for bit. Arguments are those of MONAI's class.
    """

    def _normalize(self, img: NdarrayOrTensor) -> NdarrayOrTensor:
        low, high = self._range(img)
        b_min, b_max = self.b_min, self.b_max
        if self.relative:
            if b_min is None or b_max is None:
                raise ValueError("relative=True needs b_min and b_max.")
            width = b_max - b_min
            b_min, b_max = width * (self.lower / 100.0) + b_min, width * (self.upper / 100.0) + b_min
        if low == high:  # constant volume, for which MONAI does not divide
            scaled = img - low + (b_min or 0.0)
        else:
            scaled = ScaleIntensityRange(low, high, b_min, b_max, self.clip, self.dtype)(img)
        return convert_to_tensor(scaled, track_meta=False)

    def _range(self, img: Any) -> tuple[Any, Any]:
        """Return the intensities that become ``b_min`` and ``b_max``."""
        low, high = percentile(img, self.lower), percentile(img, self.upper)
        least, most = img.min(), img.max()
        tolerance = EQUAL * (most - least)
        if not high - low <= tolerance:  # also for NaN, which MONAI handles
            return low, high
        rest = img[(img < low - tolerance) | (img > high + tolerance)]
        if len(rest) > 0:
            low, high = percentile(rest, self.lower), percentile(rest, self.upper)
            if high - low > tolerance:
                return low, high
        return least, most


class ScalePercentilesd(ScaleIntensityRangePercentilesd):
    """MONAI's ``ScaleIntensityRangePercentilesd`` with the scaling of :class:`ScalePercentiles`.

    Examples:
        >>> ScalePercentilesd("image", lower=1, upper=99, b_min=0, b_max=1, clip=True)  # doctest: +SKIP
    """

    def __init__(  # explicit, because the check of overrides reads the signature
        self,
        keys: KeysCollection,
        lower: float,
        upper: float,
        b_min: float | None,
        b_max: float | None,
        clip: bool = False,
        relative: bool = False,
        channel_wise: bool = False,
        dtype: DtypeLike = np.float32,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, lower, upper, b_min, b_max, clip, relative, channel_wise, dtype, allow_missing_keys)
        self.scaler = ScalePercentiles(lower, upper, b_min, b_max, clip, relative, channel_wise, dtype)
