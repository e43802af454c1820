"""Resample two scans to one grid for registration, and bring the result back to the grids of their files."""

import logging
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor
from torch import Tensor

from ...files.first_few import FirstFew
from ...geometry.world import apply_affine, moving_points, sample_at, world_affine, world_slabs
from ..plain import plain

logger = logging.getLogger(__name__)

PLACES = {"centres": "aligned by their centres", "world": "aligned by their own world coordinates"}


class OnGridOfd(MapTransform):
    """Resample the moving volume onto the grid of the fixed one, trilinear, zeros outside.

    Scans of two people have no common frame, and crops have meaningless origins, so the centres of both volumes are
    aligned first. ``<key>_shift`` (3,) leads back: added to world coordinates of the resampled volume, it gives those
    of the moving file, in mm. Pairs whose files differ in orientation, spacing or size are logged.

    Args:
        keys: Key of the moving volume, a ``MetaTensor`` (C, D, H, W) of ``LoadImaged``.
        fixed: Key of the fixed volume, a ``MetaTensor`` too.
        align: ``centres``, or ``world``: by the world coordinates of the two files, as for scans of one session.

    Raises:
        ValueError: another word for ``align``; on call, volumes that do not overlap in world coordinates.
    """

    def __init__(
        self,
        keys: KeysCollection = "moving",
        fixed: str = "fixed",
        align: Literal["centres", "world"] = "centres",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if align not in PLACES:
            raise ValueError(f"align must be one of {', '.join(PLACES)}, got {align!r}.")
        self.fixed = fixed
        self.align = align
        self.said = FirstFew(logger, "Other pairs differ too; they are not named.")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return ``data`` with the moving volume on the fixed volume's grid, and ``<key>_shift`` added."""
        d = dict(data)
        fixed = d[self.fixed]
        for key in self.key_iterator(d):
            moving = d[key]
            shift = torch.zeros(3, dtype=torch.float64)
            if self.align == "centres":
                shift = _centre(moving) - _centre(fixed)
            beyond = torch.tensor(moving.shape[1:]).sub(0.5).view(3, 1, 1, 1)
            volume = plain(moving, torch.float64)
            resampled = torch.empty(len(volume), *fixed.shape[1:])
            overlap = False
            for planes, points in world_slabs(fixed.shape[1:], _affine(fixed)):
                positions = voxels_of(moving, points + shift.view(3, 1, 1, 1))
                overlap |= bool(((positions > -0.5) & (positions < beyond)).all(dim=0).any())
                resampled[:, planes] = sample_at(volume, positions)
            if not overlap:
                raise ValueError(
                    f"{_file(moving)} and {_file(fixed)} do not overlap in world coordinates. Use align=centres."
                )
            self._log_difference(fixed, moving)
            d[key] = MetaTensor(resampled, meta=moving.meta)
            d[key].affine = fixed.affine
            d[f"{key}_shift"] = shift
        return d

    def _log_difference(self, fixed: MetaTensor, moving: MetaTensor) -> None:
        one, other = _geometry(fixed), _geometry(moving)
        kinds = ("orientation", "spacing", "size")
        differing = [kind for kind, a, b in zip(kinds, one, other, strict=True) if a != b]
        if differing:
            names = [Path(_file(volume)).name for volume in (fixed, moving)]
            self.said(
                f"{names[1]} ({', '.join(other)}) and {names[0]} ({', '.join(one)}) differ in "
                f"{' and '.join(differing)}: registered in world coordinates (mm) on the grid of the second; "
                f"{PLACES[self.align]}."
            )


class WarpOntoFixedd(Transform):
    """Warp the moving scan to the fixed scan's own grid by a predicted displacement, and add the field.

    Voxels of the fixed file are mapped through world coordinates to the network's grid, displaced there, and mapped
    through world coordinates to the moving file, which is sampled once. The transform needs ``pred`` (3, D, H, W),
    ``fixed`` (whose affine is that of the network's grid), ``moving_shift`` of ``OnGridOfd``, and ``fixed_scan`` and
    ``moving_scan`` (1, D, H, W) as loaded. ``moving_label`` (1, D, H, W), as loaded, is optional.

    It adds, on the grid of ``fixed_scan``: ``field`` (3, D, H, W), mm in RAS+ world coordinates, moving point = fixed
    point + field; ``warped`` (trilinear); ``warped_label`` (nearest); ``aligned_label``, the label before the
    registration.
    """

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``data`` with the field and the warped volumes added."""
        d = dict(data)
        flow, grid, shift = plain(d["pred"], torch.float64), _affine(d["fixed"]), d["moving_shift"].double()
        fixed, moving, label = d["fixed_scan"], d["moving_scan"], d.get("moving_label")
        volume = plain(moving, torch.float64)
        size = tuple(fixed.shape[1:])
        results = {"field": torch.empty(3, *size), "warped": torch.empty(len(volume), *size)}
        if label is not None:
            ids = plain(label, torch.float64)
            results |= {key: torch.empty(1, *size, dtype=torch.int32) for key in ("warped_label", "aligned_label")}
        for planes, points in world_slabs(size, _affine(fixed)):
            moved = moving_points(points, flow, grid, shift)
            results["field"][:, planes] = moved - points
            results["warped"][:, planes] = sample_at(volume, voxels_of(moving, moved))
            if label is not None:
                aligned = points + shift.view(3, 1, 1, 1)
                results["warped_label"][:, planes] = sample_at(ids, voxels_of(label, moved), "nearest")
                results["aligned_label"][:, planes] = sample_at(ids, voxels_of(label, aligned), "nearest")
        return d | {key: MetaTensor(result, affine=_affine(fixed)) for key, result in results.items()}


class SaveRegistrationd(Transform):
    """Write a registered pair into ``<output_dir>/<name>/``, after ``WarpOntoFixedd``.

    - ``warped.nii.gz``: the moving image on the fixed scan's grid; ``warped_label.nii.gz``, if it has a label;
    - ``field.nii.gz``: (D, H, W, 3) on that grid, mm in RAS+ world coordinates, moving point = fixed point + field;
    - ``affine.txt``: the affine part of the field, 4 x 4, from fixed to moving world coordinates (mm, RAS+).

    Args:
        output_dir: Output folder; made when needed.
        network: Network with the method ``decompose``, whose result for ``image`` (1, 2, D, H, W) has ``matrix`` (1, 3,
            4). Networks compiled by TensorRT lack the method, and ``affine.txt`` is then left out.
    """

    def __init__(self, output_dir: str | Path, network: Any) -> None:
        self.output_dir = Path(output_dir)
        self.decompose: Callable[[Tensor], Any] | None = getattr(network, "decompose", None)

    def __call__(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write the files of a pair and return ``data`` unchanged."""
        folder = self.output_dir / data["name"]
        folder.mkdir(parents=True, exist_ok=True)
        for key in ("warped", "warped_label"):
            if key in data:
                _save(data[key][0], data[key].affine, folder / f"{key}.nii.gz")
        _save(data["field"].movedim(0, -1), data["field"].affine, folder / "field.nii.gz")
        if self.decompose is None:
            return data
        image = convert_to_tensor(data["image"], track_meta=False)[None]
        with torch.no_grad():
            matrix = self.decompose(image).matrix[0].cpu()  # (3, 4)
        affine = world_affine(matrix, image.shape[2:], _affine(data["fixed"]), data["moving_shift"])
        words = "fixed to moving world coordinates, mm, RAS+"
        np.savetxt(folder / "affine.txt", affine.numpy(), fmt="%.8f", header=words)
        return data


def _affine(volume: MetaTensor) -> Tensor:
    return plain(volume.affine, torch.float64)


def voxels_of(volume: MetaTensor, points: Tensor) -> Tensor:
    """Convert points from world coordinates to voxel positions in a volume."""
    return apply_affine(torch.linalg.inv(_affine(volume)), points)


def _centre(volume: MetaTensor) -> Tensor:
    """Return the world coordinates (3,) of the centre of a volume."""
    return apply_affine(_affine(volume), torch.tensor(volume.shape[1:], dtype=torch.float64).sub(1).div(2)[:, None])[
        :, 0
    ]


def _save(volume: Tensor, affine: Tensor, path: Path) -> None:
    image = nib.Nifti1Image(plain(volume, volume.dtype).numpy(), plain(affine, torch.float64).numpy())
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _file(volume: MetaTensor) -> str:
    return str(volume.meta.get("filename_or_obj", "a volume"))


def _geometry(volume: MetaTensor) -> tuple[str, str, str]:
    """Describe orientation, spacing and size of the file from which a volume was loaded."""
    affine = np.asarray(volume.meta.get("original_affine", volume.affine))
    size = np.asarray(volume.meta.get("spatial_shape", volume.shape[1:]))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return (
        "".join(nib.aff2axcodes(affine)),
        " x ".join(f"{mm:.3g}" for mm in spacing) + " mm",
        " x ".join(str(int(side)) for side in size) + " voxels",
    )
