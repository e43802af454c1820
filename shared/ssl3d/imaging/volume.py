"""Hold a volume as read from its file, and the errors of files."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .grid import Grid

WHOLE = 1e-3  # label values closer than this to a whole number are rounded; a slope in the header may shift them
SLIGHT = 1e-6  # smaller differences are rounding errors of float32, which are not reported


class BadFileError(Exception):
    """Raised for a file that cannot be used, with the problem and a remedy."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem, self.remedy = problem, remedy

    def __str__(self) -> str:
        return self.problem


@dataclass(frozen=True, eq=False)
class Volume:
    """Content of an image file.

    Attributes:
        array: Voxels (D, H, W) or (D, H, W, channels) as stored, before scaling.
        slope, intercept: Scaling from stored to real values.
        grid: Spatial shape and affine.
        sha256: SHA-256 of the file's bytes.
        doubt: Problem of a file that can be used all the same; usually None.
    """

    array: np.ndarray
    slope: float
    intercept: float
    grid: Grid
    sha256: str
    doubt: BadFileError | None = None

    def scaled(self, stored: np.ndarray) -> np.ndarray:
        """Convert stored values, such as a part of the array, to real values in float64."""
        return stored.astype(np.float64) * self.slope + self.intercept

    @property
    def ids(self) -> dict[int, int]:
        """Label id -> number of voxels in a label map.

        Raises:
            BadFileError: 4D, or values that are not within ``WHOLE`` of whole numbers or that float32, which MONAI
                loads, cannot hold.
        """
        return self._ids[0]

    @property
    def uneven(self) -> float | None:
        """Value of a label map that is rounded to a whole number; None if all are whole within ``SLIGHT``."""
        return self._ids[1]

    @cached_property
    def _ids(self) -> tuple[dict[int, int], float | None]:
        if self.array.ndim == 4:
            raise BadFileError(f"4D label of shape {self.array.shape}", "Save one 3D map of integer ids")
        ids: dict[int, int] = {}
        uneven = None
        for plane in np.moveaxis(self.array, 2, 0):  # plane by plane, because sorting the whole volume is slow
            stored, numbers = _count(plane)
            values = self.scaled(stored)
            if not np.isfinite(values).all():
                raise BadFileError("NaN or Inf among the voxels", "Replace them by label ids")
            whole = np.rint(values)
            broken = np.abs(values - whole) > WHOLE
            if broken.any():
                raise BadFileError(f"non-integer label values such as {values[broken][0]:.8g}", self._integer_remedy)
            with np.errstate(over="ignore"):
                large = whole != whole.astype(np.float32)
            if large.any():
                problem = f"label ids such as {values[large][0]:.0f}, which float32 cannot hold: MONAI loads another id"
                raise BadFileError(problem, "Map the ids to small ones: 0, 1, 2 and so on")
            off = np.abs(values - whole) > SLIGHT
            if off.any():
                uneven = float(values[off][0])
            for value, number in zip(whole.tolist(), numbers.tolist(), strict=True):
                ids[int(value)] = ids.get(int(value), 0) + number
        return ids, uneven

    @property
    def _integer_remedy(self) -> str:
        if (self.slope, self.intercept) == (1, 0):
            return "Save integer ids; was it resampled with interpolation, or is it a probability map?"
        factors = f"slope {self.slope:g} and intercept {self.intercept:g}"
        return f"Save integer ids with slope 1 and intercept 0: the header says {factors}"


def _count(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of a plane and how often each occurs. Counting is many times faster than sorting."""
    whole = plane.dtype.kind in "iu" or (np.isfinite(plane).all() and np.array_equal(plane, np.rint(plane)))
    low, high = (int(plane.min()), int(plane.max())) if whole else (0, plane.size)
    if high - low < plane.size and max(-low, high) < 2**53:
        numbers = np.bincount((plane.astype(np.int64) - low).ravel())
        values = np.flatnonzero(numbers)
        return values + low, numbers[values]
    return np.unique(plane, return_counts=True)
