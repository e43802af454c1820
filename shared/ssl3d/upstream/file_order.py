"""Read and write NIfTI files in the order of the file, which MONAI turns around twice.

MONAI 1.6.1 copies each volume to the order of C on reading (``NibabelReader._get_array_data``) and back on writing
(``NibabelWriter.resample_if_needed``). There is no upstream issue yet. This file can go when a CT of 512 x 512 x 300
takes as long through MONAI's reader and writer as through nibabel.
"""

from collections.abc import Sequence
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import DtypeLike, NdarrayOrTensor, PathLike
from monai.data import NibabelReader, NibabelWriter
from monai.data.utils import correct_nifti_header_if_necessary, to_affine_nd
from monai.utils import ensure_tuple
from nibabel.openers import ImageOpener
from torch import Tensor

CASES = (".nii", ".nii.gz", ".NII", ".NII.GZ", ".nii.GZ", ".NII.gz")  # that nibabel reads


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
        """Return the nibabel image to write, without copying ``data_array`` if it already has the ``dtype``."""
        array = np.asarray(data_array)
        matrix = np.eye(4) if affine is None else to_affine_nd(3, np.asarray(affine))
        return nib.Nifti1Image(array.astype(array.dtype if dtype is None else dtype, copy=False), matrix, **options)


class FileOrderReader(NibabelReader):
    """MONAI's reader of NIfTI files that leaves the voxels in the order of the file, first axis fastest.

    MONAI copies them to the order of C, first axis slowest (1.6.1). For a CT of 512 x 512 x 300 that takes longer than
    unpacking the file, because both sides are walked in steps of megabytes, and resampling needs no order.
    """

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Any:
        """One image a file, as MONAI's reader gives them; endings may be in any letter case.

        nibabel looks for ``scan.nii.gz`` where a file is called ``scan.Nii.gz`` (5.3).
        """
        files = ensure_tuple(data)
        if all(str(file).endswith(CASES) for file in files):
            return super().read(data, **kwargs)
        self.filenames = files  # as MONAI's reader notes them
        images = [correct_nifti_header_if_necessary(_by_content(str(file))) for file in files]
        return images if len(images) > 1 else images[0]

    def get_data(self, img: Any) -> tuple[Tensor, dict]:  # type: ignore[override]
        """Voxels (D, H, W), or (D, H, W, channels), float32, and the metadata that MONAI needs."""
        array, meta = super().get_data(img)
        return torch.from_numpy(np.array(array, np.float32)), meta  # MONAI orders arrays anew, but no tensors


def _by_content(file: str) -> Any:
    """Return a NIfTI image of version 1 or 2, whatever its file is called."""
    with ImageOpener(file) as stream:
        start = stream.read(nib.Nifti2Header.sizeof_hdr)
    kind = nib.Nifti1Image if nib.Nifti1Header.may_contain_header(start) else nib.Nifti2Image
    return kind.from_file_map(kind.make_file_map({"image": file}))
