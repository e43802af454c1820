"""Painting the template of a head, outside to inside; every subject is this template read through its deformation.

The cortical folds are drawn once, from a fixed seed, and differ between left and right.
"""

from functools import cache

import numpy as np
import torch
from scipy import ndimage

from ..canvas import Box, Canvas
from ..deformation import interpolate
from ..primitives import Node, Vector, ellipsoid, smooth_intersection, smooth_union, tube
from .anatomy import (
    ANTERIOR_END,
    BRAIN_STEM,
    CAUDATE,
    CHOROID,
    FRAME,
    FRONTAL_TO_OCCIPITAL_HORN,
    HIPPOCAMPAL_AXIS,
    HIPPOCAMPUS,
    HIPPOCAMPUS_FLATTENING,
    ID,
    MEDIAL_TEMPORAL,
    SUBICULUM,
    TEMPORAL_HORN,
    TEMPORAL_LOBE,
)


def paint_head(canvas: Canvas) -> None:
    """Paint the whole template on a canvas, outside to inside; touches only the voxels that a solid can reach."""
    points = canvas.points
    cerebrum, cerebellum = _cerebrum(points), _cerebellum(points)
    _paint_envelopes(canvas, cerebrum, cerebellum)
    _paint_cerebellum(canvas, cerebellum)
    _paint_cerebrum(canvas, cerebrum)
    _paint_deep_structures(canvas)


def hippocampus(points: np.ndarray) -> np.ndarray:
    """Distance in mm to the right hippocampus (mirror x for the left); points ``(3, ...)``, result ``(...)``."""
    # Thinner along z: the tube of a space stretched about the centre line, which rises with -y.
    level = np.interp(-points[1], [-node[1] for node in HIPPOCAMPUS[1:]], [node[2] for node in HIPPOCAMPUS[1:]])
    stretched = points.copy()
    stretched[2] += np.float32(HIPPOCAMPUS_FLATTENING - 1) * (points[2] - level.astype(points.dtype))
    return tube(stretched, HIPPOCAMPUS)


def _paint_envelopes(canvas: Canvas, cerebrum: np.ndarray, cerebellum: np.ndarray) -> None:
    """Face, scalp, skull with marrow, and the fluid that the brain lies in."""
    points = canvas.points
    cavity = smooth_union(smooth_union(cerebrum, cerebellum, 12), tube(points, BRAIN_STEM[:5]) + 1, 8) - 3.2
    face = ellipsoid(points, (0, 28, -62), (62, 58, 66))
    neck = tube(points, ((0.0, -40.0, -60.0, 60.0), (0.0, -38.0, -130.0, 58.0)))
    head = smooth_union(smooth_union(cavity - 12, face, 24), neck, 30)
    canvas.paint(head, "fat", ID["scalp and face"])
    canvas.paint(np.maximum(head + 4.5, points[2] + np.float32(12) - 0.25 * points[1]), "muscle", ID["scalp and face"])
    planes = np.abs(points[0])
    for centre, radii in (((0, 62, -48), (11, 20, 15)), ((25, 56, -52), (12, 15, 14)), ((0, 20, -82), (9, 26, 26))):
        solid = ellipsoid(np.stack([planes, points[1], points[2]]), centre, radii)
        canvas.paint(solid, "air", ID["scalp and face"])
    canvas.paint(np.maximum(cavity - 6.5, -45 - points[2]), "bone", ID["skull"])
    canvas.paint(np.maximum(np.abs(cavity - 3.4) - 1.3, -5 - points[2]), "marrow", ID["skull"])
    eye = ellipsoid(np.stack([planes, points[1], points[2]]), (32, 63, -32), (12, 12, 12))
    canvas.paint(eye, "fluid", ID["scalp and face"])
    canvas.paint(cavity, "fluid", ID["cerebrospinal fluid"])
    sinus = np.maximum(np.maximum(np.abs(points[0]) - 3.5, cavity), -cavity - 3.5)
    canvas.paint(np.maximum(sinus, -points[2] + 10), "vessel", ID["cerebrospinal fluid"])


def _cerebrum(points: np.ndarray) -> np.ndarray:
    """Distance to the outer surface of both hemispheres, the cisterns around the brain stem taken out."""
    mirrored = np.stack([np.abs(points[0]), points[1], points[2]])
    whole = ellipsoid(points, (0, -17, 12), (70, 89, 68))
    hemisphere = ellipsoid(mirrored, (27, -18, 13), (44, 88, 66))
    dome = smooth_union(hemisphere, whole + 3, 6)
    # The floor: the anterior fossa in front, the tentorium behind.
    y = points[1]
    tentorium = np.maximum(-1 - np.float32(0.33) * np.abs(y + 46), -14)
    floor = np.where(y < -30, np.where(y < -46, -1 + np.float32(0.3) * (y + 46), tentorium), -14) - points[2]
    cerebrum = smooth_intersection(dome, floor, 10)
    temporal = np.minimum(tube(mirrored, TEMPORAL_LOBE), tube(mirrored, MEDIAL_TEMPORAL))
    cerebrum = smooth_union(cerebrum, temporal, 5)
    cistern = ellipsoid(points, (0, -16, -30), (16.5, 34, 25))
    return smooth_intersection(cerebrum, -cistern, 5)


def _paint_cerebrum(canvas: Canvas, cerebrum: np.ndarray) -> None:
    """Cortex as a ribbon along the outer surface, the folds, the midline and the lateral fissure; white matter within.

    Folds are the zero sheets of a smooth random function, cut off at a depth: the ribbon follows them.
    """
    points = canvas.points
    mirrored = np.stack([np.abs(points[0]), points[1], points[2]])
    depth = -cerebrum
    core = ellipsoid(points, (0, -10, 6), (31, 43, 27), tilt=-8)
    beyond = np.maximum(depth - 18, 0)
    shield = np.maximum(7 - core, 0) + np.maximum(6 - tube(mirrored, HIPPOCAMPAL_AXIS), 0)
    sheet = interpolate(_folds(), points, FRAME)[0]
    fold = np.sqrt(sheet * sheet + beyond * beyond + shield * shield) - 0.35 - np.exp(-np.maximum(depth, 0) / 4)
    midline = np.sqrt(np.square(np.maximum(mirrored[0] - 0.5, 0)) + np.square(np.maximum(1 - core, 0)))
    slope = mirrored[2] + 7 - 0.30 * (-points[1])
    lateral = np.sqrt(
        slope * slope
        + np.square(np.maximum(37 - mirrored[0], 0))
        + np.square(np.maximum(np.abs(points[1] + 6) - 26, 0))
    ) - np.float32(1.0)
    ribbon = np.minimum(np.minimum(depth, fold), np.minimum(midline, lateral))
    canvas.paint(np.maximum(cerebrum, -ribbon), "grey", ID["cortex"])
    canvas.paint(np.float32(2.9) - ribbon, "white", ID["white matter"])


@cache
def _folds() -> torch.Tensor:
    """Signed distance, in mm, to the sheets that the cortex folds along; ``(1, 1, N, N, N)``, the same for everyone."""
    nodes = 101
    spacing = 2 * FRAME.extent / (nodes - 1)
    noise = np.random.default_rng(20).standard_normal((nodes,) * 3, dtype=np.float32)
    band = ndimage.gaussian_filter(noise, 4.4 / spacing)
    band -= ndimage.gaussian_filter(noise, 7.0 / spacing)
    slope = np.sqrt(sum(np.square(component) for component in np.gradient(band, spacing)))
    distance = band / np.maximum(slope, 0.35 * np.median(slope))
    return torch.from_numpy(np.clip(distance, -8, 8).astype(np.float32))[None, None]


def _cerebellum(points: np.ndarray) -> np.ndarray:
    mirrored = np.stack([np.abs(points[0]), points[1], points[2]])
    hemisphere = ellipsoid(mirrored, (23, -62, -40), (30, 27, 19), tilt=8)
    return smooth_union(hemisphere, ellipsoid(points, (0, -62, -34), (14, 24, 20)), 6)


def _paint_cerebellum(canvas: Canvas, cerebellum: np.ndarray) -> None:
    """One label; folia fan out from the fourth ventricle, on a stem of white matter."""
    points = canvas.points
    canvas.paint(cerebellum, "grey", ID["cerebellum"])
    y, z = points[1] + 40, points[2] + 35
    radius = np.sqrt(y * y + z * z)
    fan = np.abs(np.sin(np.arctan2(z, -y) * 13)) * radius / 13  # mm from the middle of a fissure, near it
    canvas.paint(np.maximum(fan - 0.4, np.maximum(cerebellum, -6 - cerebellum)), "fluid", ID["cerebellum"])
    leaf = 1.8 - fan + np.maximum(cerebellum + 4, 0)
    canvas.paint(np.maximum(np.minimum(leaf, cerebellum + 10), cerebellum + 3), "white", ID["cerebellum"])


def _paint_deep_structures(canvas: Canvas) -> None:
    """Everything small: pairs are painted right and left by mirroring x."""
    box = canvas.box((-10, -50, -15), (10, -30, 6))
    if box:  # the quadrigeminal cistern
        solid = ellipsoid(canvas.inside(box), (0, -40, -5), (9, 8, 9))
        canvas.paint(solid, "fluid", ID["cerebrospinal fluid"], box)
    box = canvas.box((-16, -70, -125), (16, 0, 2))
    if box:
        solid = smooth_union(tube(canvas.inside(box), BRAIN_STEM), _peduncles(canvas, box), 4)
        canvas.paint(solid, "brain_stem", ID["brain stem"], box)
    for sign in (-1, 1):
        _paint_side(canvas, sign)
    for centre, radii in (((0, -10, 2), (1.9, 14, 9)), ((0, -42, -31), (6, 4.5, 9)), ((0, -33, -12), (1.4, 2, 8))):
        box = canvas.box(np.subtract(centre, radii), np.add(centre, radii))
        if box:
            solid = ellipsoid(canvas.inside(box), centre, radii)
            canvas.paint(solid, "fluid", ID["cerebrospinal fluid"], box)


def _peduncles(canvas: Canvas, box: Box) -> np.ndarray:
    x, y, z = canvas.inside(box)
    return tube(np.stack([np.abs(x), y, z]), ((10.0, -17.0, -4.0, 5.0), (6.0, -20.0, -20.0, 7.0)))


def _paint_side(canvas: Canvas, sign: int) -> None:
    def paint_nodes(nodes: tuple[Node, ...], tissue: str, label: str) -> None:
        centres, radii = np.array(nodes)[:, :3], np.array(nodes)[:, 3:]
        local, box = _local(canvas, sign, (centres - radii).min(0), (centres + radii).max(0))
        if box:
            canvas.paint(tube(local, nodes), tissue, ID[label], box)

    def paint_ellipsoid(centre: Vector, radii: Vector, tissue: str, label: str, tilt: float = 0.0) -> None:
        reach = max(radii)
        local, box = _local(canvas, sign, np.subtract(centre, reach), np.add(centre, reach))
        if box:
            canvas.paint(ellipsoid(local, centre, radii, tilt), tissue, ID[label], box)

    paint_ellipsoid((10.8, -19.0, 8.0), (8.5, 14.5, 8.5), "thalamus", "thalamus", tilt=-10)
    paint_nodes(CAUDATE, "caudate", "caudate")
    paint_ellipsoid((27.0, 1.0, 2.0), (5.2, 15.5, 9.5), "putamen", "putamen", tilt=5)
    paint_ellipsoid((20.0, -3.0, 1.0), (4.4, 9.5, 6.5), "pallidum", "pallidum", tilt=5)
    paint_nodes(FRONTAL_TO_OCCIPITAL_HORN, "fluid", "lateral ventricle")
    paint_nodes(CHOROID, "choroid", "lateral ventricle")
    paint_ellipsoid((21.5, 0.5, -16.5), (8.0, 8.0, 8.0), "amygdala", "amygdala")
    paint_nodes(SUBICULUM, "grey", "cortex")
    # The choroid fissure: a sheet of fluid above the hippocampus, open to the cistern beside the brain stem.
    paint_ellipsoid((19.0, -27.0, -8.0), (7.5, 14.0, 1.2), "fluid", "cerebrospinal fluid", tilt=-35)
    paint_nodes(TEMPORAL_HORN, "fluid", "lateral ventricle")
    _paint_hippocampus(canvas, sign)


def _paint_hippocampus(canvas: Canvas, sign: int) -> None:
    """White matter of alveus and fimbria as a thin coat above, then the two parts, with the bright stripe inside."""
    centres, radii = np.array(HIPPOCAMPUS)[:, :3], np.array(HIPPOCAMPUS)[:, 3:]
    local, box = _local(canvas, sign, (centres - radii - 1).min(0), (centres + radii + 1).max(0))
    if not box:
        return
    solid = hippocampus(local)
    above = np.interp(-local[1], -centres[1:, 1], centres[1:, 2]).astype(np.float32) - local[2]
    canvas.paint(np.maximum(solid - 0.9, above + 1), "white", ID["white matter"], box)
    canvas.paint(solid, "hippocampus", ID["hippocampus anterior"], box)
    canvas.paint(np.maximum(solid, local[1] - ANTERIOR_END), "hippocampus", ID["hippocampus posterior"], box)
    stripe = np.abs(solid + 2.4) - 0.55
    for part, side in (("hippocampus anterior", -1), ("hippocampus posterior", 1)):
        half = side * (local[1] - ANTERIOR_END)
        canvas.paint(np.maximum(np.maximum(stripe, half), above), "thalamus", ID[part], box)


def _local(canvas: Canvas, sign: int, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, Box | None]:
    """Voxels near a right-sided box, or near its mirror image; their coordinates as if on the right."""
    corners = np.array([low, high])
    corners[:, 0] = sorted(sign * corners[:, 0])
    box = canvas.box(corners[0], corners[1])
    local = canvas.inside(box).copy() if box else np.empty((3, 0))
    local[0] *= sign
    return local, box
