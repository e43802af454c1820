"""Load volumes, DICOM series included, into dictionaries."""

import logging
import os
import warnings
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection, PathLike
from monai.data import ImageReader, MetaTensor
from monai.data.folder_layout import default_name_formatter
from monai.transforms import LoadImaged, Transform
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple
from torch import Tensor

from ..imaging.dicom.volume import read_series
from ..imaging.hounsfield import HIGH, LOW
from ..imaging.volume import WHOLE, BadFileError, Volume
from ..upstream.file_order import FileOrderReader
from ..weights import other_modality, passport_of

logger = logging.getLogger(__name__)
logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)  # it advertises decoding on a GPU

LABELS = ("label", "fixed_label", "moving_label")
SAMPLE = 100_000  # number of voxels to compute a scan's percentiles from
NAME = "name"  # key of the case's name, in an item and in the metadata of its volumes


class SeriesReader(ImageReader):
    """MONAI reader of folders of DICOM files; several folders are the channels of one image.

    It reads with ``read_series``, like the checks of ``Datalist``. MONAI's own readers (1.6.1) misread some series
    without an error. ``PydicomReader`` sorts by InstanceNumber instead of position, and mixes the series of a folder.
    ``ITKReader`` rescales all slices by the factors of the first, ignores gantry tilt, and reads only a part of a
    series with different slice thicknesses.
    """

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Return whether all paths are folders."""
        return all(Path(path).is_dir() for path in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> list[Volume]:
        """Read one volume per folder.

        Raises:
            ValueError: a folder cannot be read as a volume, see ``read_series``; the message says what to do.
        """
        volumes = []
        for path in ensure_tuple(data):
            try:
                volumes.append(read_series(Path(path)))
            except BadFileError as fault:
                raise ValueError(f"{path}: {fault.problem}. {fault.remedy}.") from fault
        return volumes

    def get_data(self, img: list[Volume]) -> tuple[np.ndarray, dict]:
        """Return voxels (D, H, W), or (channels, D, H, W) for several folders, and the metadata that MONAI needs."""
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

    Files of formats other than NIfTI are read by MONAI's readers. The result is a ``MetaTensor`` (C, D, H, W), float32,
    with any strides. Its metadata hold the item's ``name``, if it has one, see ``named_by_case``.

    Label maps whose values are within 1e-3 of whole numbers, as after scaling by a slope in the header, are rounded.

    Args:
        keys: Keys of paths, or of lists of paths, one per channel.
        allow_missing_keys: See ``LoadImaged``.
        labels: Keys among ``keys`` that hold label maps; other keys in this list are ignored.
        weights: Weights file; a warning names each scan that looks like another modality than the training data.

    Examples:
        >>> LoadVolumed("image")({"image": "patient01"})["image"].shape  # doctest: +SKIP
        torch.Size([1, 512, 512, 300])
    """

    def __init__(
        self,
        keys: KeysCollection,
        allow_missing_keys: bool = False,
        labels: KeysCollection = LABELS,
        weights: str | Path | None = None,
    ) -> None:
        with warnings.catch_warnings():  # MONAI advertises decoding DICOM on a GPU, which is not used here
            warnings.filterwarnings("ignore", message=".*nvImageCodec")
            super().__init__(keys, ensure_channel_first=True, allow_missing_keys=allow_missing_keys)
        self.labels = ensure_tuple(labels)
        self.weights = weights
        self.passport = None if weights is None else passport_of(Path(weights).expanduser())
        self.register(FileOrderReader())
        self.register(SeriesReader())

    def __call__(self, data: Mapping[Hashable, Any], reader: ImageReader | None = None) -> dict[Hashable, Any]:
        """Return ``data`` with the volumes in place of their paths."""
        d = super().__call__(data, reader)
        for key in self.key_iterator(d):
            if key in self.labels and isinstance(d[key], Tensor):
                round_labels(d[key])
            if "name" in d and isinstance(d[key], MetaTensor):
                d[key].meta[NAME] = str(d["name"])
            if self.passport is not None and key not in self.labels:
                low, high = _percentiles(d[key][0])
                if text := other_modality(self.passport, low, high):
                    file = d[key].meta.get("filename_or_obj")
                    logger.warning(f"{file}: {text} ({self.weights}). The result may be nonsense.")
        return d


def round_labels(labels: Tensor) -> None:
    """Round label values in place if all are within ``WHOLE`` of whole numbers; else change nothing."""
    whole = labels.round()
    if 0 < (labels - whole).abs().max() <= WHOLE:
        labels.copy_(whole)


def _percentiles(volume: Tensor) -> tuple[float, float]:
    """Return percentiles 0.5 and 99.5 of a volume (D, H, W), from a coarse grid of its voxels."""
    step = max(1, int((volume.numel() / SAMPLE) ** (1 / 3)))
    values = np.asarray(volume[::step, ::step, ::step], np.float32)
    low, high = np.percentile(values, (LOW, HIGH))
    return float(low), float(high)


def named_by_case(meta: Mapping[str, Any] | None, saver: Transform) -> dict[str, Any]:
    """Name saved files after their case, for ``SaveImaged``'s ``output_name_formatter``.

    Files in different folders may have the same name, but names of a ``Datalist`` are unique. Items without ``name``,
    such as those of MONAI Label, are named after their file, as in MONAI.
    """
    parts = default_name_formatter(dict(meta or {}), saver)
    if meta and NAME in meta:
        name = meta[NAME].replace(os.sep, "_")
        parts["subject"] = f"{name}.nii"  # MONAI removes one extension, and a case may be called 1.2.840
    return parts
