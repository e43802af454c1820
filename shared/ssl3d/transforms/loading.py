"""Loading volumes, those of DICOM series included, into dictionaries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection, PathLike
from monai.data import ImageReader
from monai.transforms import LoadImaged
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple

from ..data.dicom_volume import read_series
from ..data.nifti import BadFileError, Volume


class SeriesReader(ImageReader):
    """A MONAI reader of folders of DICOM files; several folders are the channels of one image.

    What it reads is what ``Datalist`` has checked: see ``read_series``. MONAI's own readers are not used, since each
    misreads some series without an error (1.6.1): ``PydicomReader`` goes by InstanceNumber, not by position, and mixes
    the series of a folder; ``ITKReader`` rescales all slices by the factors of the first, ignores gantry tilt, and
    takes a part of the series where slices differ in thickness.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether all paths are folders."""
        return all(Path(path).is_dir() for path in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[Volume]:
        """One volume a folder.

        Raises:
            ValueError: a folder cannot be read as a volume; with what to do, see ``read_series``.
        """
        volumes = []
        for path in ensure_tuple(data):
            try:
                volumes.append(read_series(Path(path)))
            except BadFileError as fault:
                raise ValueError(f"{path}: {fault.problem}. {fault.remedy}.") from fault
        return volumes

    def get_data(self, img: list[Volume]) -> tuple[np.ndarray, dict]:
        """Voxels (D, H, W), or (channels, D, H, W) of several folders, float32, and the metadata that MONAI needs."""
        first = img[0].grid
        meta = {
            MetaKeys.AFFINE: first.affine,
            MetaKeys.ORIGINAL_AFFINE: first.affine.copy(),
            MetaKeys.SPATIAL_SHAPE: np.asarray(first.shape),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan") if len(img) == 1 else 0,
        }
        return img[0].array if len(img) == 1 else np.stack([volume.array for volume in img]), meta


class LoadVolumed(LoadImaged):
    """MONAI's ``LoadImaged``, channel first, that also reads a folder of DICOM files as one volume.

    Other files, such as NIfTI, go to MONAI's readers. The result is a ``MetaTensor`` (C, D, H, W), float32.

    Args:
        keys: of paths, or lists of paths, one a channel.
        allow_missing_keys: see ``LoadImaged``.

    Examples:
        >>> LoadVolumed("image")({"image": "patient01"})["image"].shape  # doctest: +SKIP
        torch.Size([1, 512, 512, 300])
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, ensure_channel_first=True, allow_missing_keys=allow_missing_keys)
        self.register(SeriesReader())
