"""Add to MONAI's spatial transforms: safe resampling, a mask of real voxels, logged padding."""

import logging
from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, get_track_meta
from monai.transforms import MapTransform, Spacingd, SpatialPadd
from monai.utils import convert_to_tensor

from ..files.first_few import FirstFew
from ..upstream.separable_resample import SeparableResample

logger = logging.getLogger(__name__)


class SafeSpacingd(Spacingd):
    """MONAI's ``Spacingd`` for dictionaries that also hold entries such as MONAI Label's ``image_path``, and for CT.

    Since 1.6.0 MONAI calls ``update`` on every entry whose name begins with ``<key>_`` and fails on text. Here such
    entries are set aside during the call unless they are dictionaries. Both the transform and its inverse resample axis
    by axis, see ``SeparableResample``. Arguments and inverse are those of ``Spacingd``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.spacing_transform.sp_resample = SeparableResample(lazy=self.lazy)  # other arguments come with each call

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> dict[Hashable, Any]:
        """Resample the keys to ``pixdim`` (mm); ``data`` holds (C, D, H, W) tensors under them."""
        prefixes = tuple(f"{key}_" for key in self.keys)
        aside: dict[Hashable, Any] = {
            name: value
            for name, value in data.items()
            if isinstance(name, str) and name.startswith(prefixes) and not isinstance(value, dict)
        }
        rest = {name: value for name, value in data.items() if name not in aside}
        resampled = super().__call__(rest, lazy=lazy)
        if not (self.lazy if lazy is None else lazy):
            for key in self.key_iterator(resampled):  # ``LoadVolumed`` keeps the order of the file
                resampled[key] = resampled[key].contiguous()
        return {**resampled, **aside}


class ValidMaskd(MapTransform):
    """Add a mask of ones with the grid of an image, in which later padding is 0.

    Put it before the first transform that pads, and give ``mask_key`` to the spatial transforms after it with mode
    ``nearest``. It does not work in lazy pipelines, where MONAI (1.6.1) pads by repeating the border in every mode. The
    mask is uint8 (1, D, H, W), to be small in a cache.

    Args:
        keys: Key of the image (C, D, H, W); one key only.
        mask_key: Key of the mask.

    Raises:
        ValueError: more than one key.
    """

    def __init__(
        self, keys: KeysCollection = "image", mask_key: str = "valid", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"ValidMaskd makes the mask of one image, got keys {self.keys}.")
        self.mask_key = mask_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the mask added, which has the affine of the image."""
        d = dict(data)
        for key in self.key_iterator(d):
            image = convert_to_tensor(d[key], track_meta=get_track_meta())
            d[self.mask_key] = torch.ones_like(image[:1], dtype=torch.uint8)
        return d


class KeepAffined(MapTransform):
    """Store an image's affine as the entry ``affine`` (4, 4), float64, because a cache of tensors drops metadata.

    Put it after the last transform that moves or pads.

    Args:
        keys: Key of the ``MetaTensor`` (C, D, H, W); one key only.

    Raises:
        ValueError: more than one key.
    """

    def __init__(self, keys: KeysCollection = "image", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"KeepAffined keeps the affine of one image, got keys {self.keys}.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with ``affine`` added."""
        d = dict(data)
        for key in self.key_iterator(d):
            d["affine"] = torch.as_tensor(d[key].affine).double().cpu()
        return d


class LoggedSpatialPadd(SpatialPadd):
    """MONAI's ``SpatialPadd`` that logs volumes smaller than ``spatial_size``: the first few by name, once each.

    Items are named by ``name``, else by their file. Arguments and inverse are those of ``SpatialPadd``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.said = FirstFew(logger, "Other volumes are padded too; they are not named.")

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> dict[Hashable, Any]:
        """Pad the keys, (C, D, H, W) tensors, to at least ``spatial_size`` voxels."""
        padded = super().__call__(data, lazy=lazy)
        for key in self.key_iterator(dict(data)):
            image, result = data[key], padded[key]
            before, after = (
                tuple(x.peek_pending_shape()) if isinstance(x, MetaTensor) else tuple(x.shape[1:])
                for x in (image, result)
            )
            if before != after:
                file = image.meta.get("filename_or_obj", key) if isinstance(image, MetaTensor) else key
                self.said(f"{data.get('name', file)}: {before} voxels, padded to {after}.")
                break
        return padded
