"""Define the colours of all pictures: one per class id and one per curve, the same in every picture."""

from collections.abc import Iterable

# Readers with any colour vision can distinguish the first seven (Okabe and Ito); the others extend them.
PALETTE = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#ff00ff", "#8c510a", "#7fff00", "#9467bd", "#00ffff", "#ff9896", "#b0b0b0"),
    *("#808000", "#e31a1c", "#1f3fff", "#bcf60c", "#fabebe", "#008080"),
)
# For curves and points on white, without yellow, which would not show. Black comes first, for the baseline.
CURVES = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c510a")
HIDDEN = "#31506f"  # voxels that a network does not see


def class_colour(number: int) -> str:
    """Return the colour of a class id, from 1; ids beyond the palette begin again."""
    return PALETTE[(number - 1) % len(PALETTE)]


def curve_colour(number: int) -> str:
    """Return the colour of the curve with this number, from 0; numbers beyond the palette begin again."""
    return CURVES[number % len(CURVES)]


def class_colours(numbers: Iterable[int]) -> list[str]:
    """Return the colours of several class ids."""
    return [class_colour(number) for number in numbers]
