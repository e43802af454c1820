"""What each kind shows of the torso, and how much its subjects differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..primitives import Vector
from ..subject import Landmark
from . import abdomen_anatomy, chest_anatomy, heart_anatomy


@dataclass(frozen=True)
class Growth:
    """A structure that is larger or smaller: place in the template and reach in mm, spread of its logarithmic size."""

    centre: Vector
    width: float
    spread: float


@dataclass(frozen=True)
class Move:
    """A structure that lies elsewhere: place in the template and reach in mm, way, and spread in mm along the way."""

    centre: Vector
    width: float
    way: Vector
    spread: float


@dataclass(frozen=True)
class View:
    """The part of the torso that a kind shows.

    Attributes:
        centre: Centre of the field of view in the template, mm.
        field_of_view: Mean field of view, mm.
        jitter: Largest distance of the scan from the centre, mm.
        slices: Slice thicknesses over the size of a voxel within the slice; each is equally frequent.
        moments: Between which phases of contrast medium it is taken, see ``tissues.hounsfield``.
        ids: Label id by name.
        landmarks: Points of the template.
        growths, moves: Growths and moves of single structures.
        extent, spacing: Extent and spacing of the deformation field, see ``Frame``; mm.
        strength, smoothness: Strength and smoothness of the random deformation, see ``Deformation``; mm.
    """

    centre: Vector
    field_of_view: Vector
    jitter: Vector
    slices: Sequence[float]
    moments: tuple[float, float]
    ids: Mapping[str, int]
    landmarks: Sequence[Landmark]
    growths: Sequence[Growth]
    moves: Sequence[Move]
    extent: float
    spacing: float
    strength: float
    smoothness: float


_BREATH = Move((0.0, 60.0, 50.0), 70.0, (0.0, 0.0, 1.0), 10.0)
ABDOMEN = View(
    centre=abdomen_anatomy.CENTRE,
    field_of_view=(370.0, 370.0, 310.0),
    jitter=(8.0, 8.0, 16.0),
    slices=(1.0, 1.0, 1.25, 1.5, 2.0),
    moments=(0.0, 3.0),
    ids=abdomen_anatomy.ID,
    landmarks=abdomen_anatomy.LANDMARKS,
    growths=(
        Growth((72.0, 50.0, 30.0), 50.0, 0.04),  # liver
        Growth((-110.0, -4.0, 14.0), 30.0, 0.06),  # spleen
        Growth((70.0, 5.0, -42.0), 28.0, 0.05),  # right kidney
        Growth((-70.0, 2.0, -27.0), 28.0, 0.05),  # left kidney
        Growth((-56.0, 55.0, 20.0), 30.0, 0.15),  # stomach
        Growth((70.0, 86.0, -24.0), 14.0, 0.1),  # gallbladder
    ),
    moves=(
        _BREATH,
        Move((0.0, 130.0, -70.0), 60.0, (0.0, 1.0, 0.0), 8.0),  # belly
        Move((70.0, 5.0, -42.0), 35.0, (0.0, 0.0, 1.0), 6.0),  # right kidney
        Move((-70.0, 2.0, -27.0), 35.0, (0.0, 0.0, 1.0), 6.0),  # left kidney
    ),
    extent=240.0,
    spacing=10.0,
    strength=6.6,
    smoothness=80.0,
)
CHEST = View(
    centre=chest_anatomy.CENTRE,
    field_of_view=(370.0, 370.0, 310.0),
    jitter=(8.0, 8.0, 12.0),
    slices=(1.0, 1.0, 1.25, 1.5, 2.0),
    moments=(0.0, 2.0),
    ids={"background": 0},
    landmarks=chest_anatomy.LANDMARKS,
    growths=(
        Growth((-20.0, 66.0, 134.0), 45.0, 0.08),  # heart
        Growth((80.0, 0.0, 170.0), 60.0, 0.04),  # right lung
        Growth((-80.0, 0.0, 170.0), 60.0, 0.04),  # left lung
    ),
    moves=(_BREATH,),
    extent=240.0,
    spacing=10.0,
    strength=6.6,
    smoothness=80.0,
)
HEART = View(
    centre=heart_anatomy.CENTRE,
    field_of_view=(190.0, 190.0, 160.0),
    jitter=(6.0, 6.0, 6.0),
    slices=(1.0, 1.0, 1.25),
    moments=(0.8, 1.3),
    ids=heart_anatomy.ID,
    landmarks=heart_anatomy.LANDMARKS,
    growths=(
        Growth((-36.0, 76.0, 124.0), 30.0, 0.08),  # left ventricle
        Growth((0.0, 100.0, 122.0), 28.0, 0.08),  # right ventricle
        Growth((-6.0, 35.0, 154.0), 24.0, 0.1),  # left atrium
        Growth((38.0, 60.0, 136.0), 24.0, 0.1),  # right atrium
    ),
    moves=(),
    extent=200.0,
    spacing=8.0,
    strength=5.0,
    smoothness=50.0,
)
