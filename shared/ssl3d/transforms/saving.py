"""Writing volumes without putting their voxels into another order."""

from collections.abc import Mapping
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import NibabelWriter
from monai.utils import convert_to_tensor


class FileOrderWriter(NibabelWriter):
    """MONAI's writer of NIfTI files for volumes whose first axis is the fastest, as in the file.

    MONAI puts them into the order of C and nibabel back into that of the file (1.6.1), which takes many times as long
    as compressing a map of labels. Here MONAI sees the axes in reverse, so that neither does. The file is the same.
    For ``SaveImaged(writer=...)`` with ``resample`` false; other volumes are written as well, at MONAI's speed.
    """

    def set_data_array(
        self, data_array: Any, channel_dim: int | None = 0, squeeze_end_dims: bool = True, **kwargs: Any
    ) -> None:
        """Take a volume (C, D, H, W), or (D, H, W) where ``channel_dim`` is None.

        Raises:
            ValueError: channels on another axis than the first.
        """
        if channel_dim not in (0, None):
            raise ValueError(f"FileOrderWriter takes channels as axis 0, got channel_dim {channel_dim}.")
        first = 0 if channel_dim is None else 1
        reverse = torch.swapaxes(convert_to_tensor(data_array, track_meta=False), first, first + 2)
        super().set_data_array(reverse, channel_dim, squeeze_end_dims, **kwargs)

    def set_metadata(self, meta_dict: Mapping | None, resample: bool = True, **options: Any) -> None:
        """Take the affine.

        Raises:
            ValueError: ``resample`` is true.
        """
        if resample:
            raise ValueError("FileOrderWriter does not resample: give resample false.")
        super().set_metadata(meta_dict, resample, **options)

    @classmethod
    def create_backend_obj(  # type: ignore[override]
        cls, data_array: Any, *arguments: Any, **kwargs: Any
    ) -> nib.Nifti1Image:
        """The image, its axes in their order again."""
        image = super().create_backend_obj(data_array, *arguments, **kwargs)
        return nib.Nifti1Image(np.swapaxes(np.asanyarray(image.dataobj), 0, 2), image.affine)
