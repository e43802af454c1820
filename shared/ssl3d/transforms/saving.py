"""Saving volumes."""

from typing import Any

import nibabel as nib
import numpy as np
from monai.config import DtypeLike, NdarrayOrTensor
from monai.data import NibabelWriter
from monai.data.utils import to_affine_nd


class FileOrderWriter(NibabelWriter):
    """MONAI's writer of NIfTI files that leaves the voxels in the order that they have, best first axis fastest.

    MONAI resamples a volume onto its own grid even where no other is asked for (1.6.1), which copies it to the order of
    C, and writing goes back to that of the file: for labels of 512 x 512 x 300 three quarters of the time.

    Examples:
        >>> SaveImaged("pred", writer=FileOrderWriter, resample=False)  # doctest: +SKIP
    """

    @classmethod
    def resample_if_needed(  # type: ignore[override]
        cls,
        data_array: NdarrayOrTensor,
        affine: NdarrayOrTensor | None = None,
        target_affine: NdarrayOrTensor | None = None,
        **options: Any,
    ) -> tuple[NdarrayOrTensor, NdarrayOrTensor | None]:
        """``data_array`` and ``affine`` as they are, unless there is a ``target_affine``."""
        if target_affine is not None:
            return super().resample_if_needed(data_array, affine, target_affine, **options)
        return np.asarray(data_array), affine

    @classmethod
    def create_backend_obj(  # type: ignore[override]
        cls, data_array: NdarrayOrTensor, affine: NdarrayOrTensor | None = None, dtype: DtypeLike = None, **options: Any
    ) -> nib.Nifti1Image:
        """The image of nibabel that is written, of ``data_array`` itself where it has the ``dtype``."""
        array = np.asarray(data_array)
        matrix = np.eye(4) if affine is None else to_affine_nd(3, np.asarray(affine))
        return nib.Nifti1Image(array.astype(array.dtype if dtype is None else dtype, copy=False), matrix, **options)
