"""The template of a head as data: labels, the solids of the deep structures, landmarks.

Millimetres, RAS, in the proportions of the MNI template (origin at the anterior commissure), right side; left and right
share one shape. A solid is a chain of nodes (x, y, z, radius).
"""

from ..deformation import Frame
from ..primitives import Node
from ..subject import Landmark

LABELS = (
    "background",
    "scalp and face",
    "skull",
    "cerebrospinal fluid",
    "cortex",
    "white matter",
    "lateral ventricle",
    "thalamus",
    "caudate",
    "putamen",
    "pallidum",
    "amygdala",
    "hippocampus anterior",
    "hippocampus posterior",
    "brain stem",
    "cerebellum",
)
ID = {name: index for index, name in enumerate(LABELS)}
CENTRE = (0.0, -17.0, -9.0)  # of the field of view
HEAD_SCALE = 0.93  # size of a mean head over that of the template
FRAME = Frame(extent=125.0, spacing=5.0)

HIPPOCAMPUS: tuple[Node, ...] = (
    (17.5, -9.5, -19.5, 4.2),
    (24.0, -8.5, -21.5, 6.3),
    (29.0, -15.0, -20.5, 6.2),
    (31.0, -23.0, -16.5, 5.6),
    (30.5, -31.0, -11.0, 5.2),
    (27.0, -38.0, -5.5, 4.6),
    (21.5, -42.0, -0.5, 3.2),
)
HIPPOCAMPUS_FLATTENING = 1.3  # its cross-section is that much wider than high
HIPPOCAMPAL_AXIS: tuple[Node, ...] = ((26.0, -8.0, -21.0, 5.5), (30.0, -34.0, -8.0, 5.0))
ANTERIOR_END = -20.5  # y of the coronal plane at the uncal apex that parts head from body and tail
SUBICULUM: tuple[Node, ...] = ((19.0, -10.0, -25.0, 3.0), (22.0, -22.0, -22.0, 3.0), (23.0, -34.0, -13.5, 2.6))
TEMPORAL_HORN: tuple[Node, ...] = (
    (27.0, -42.0, 8.0, 5.0),
    (36.5, -35.0, -6.0, 3.3),
    (37.5, -24.0, -13.5, 3.0),
    (34.0, -12.5, -17.5, 3.3),
    (26.5, -5.0, -18.0, 2.4),
)
FRONTAL_TO_OCCIPITAL_HORN: tuple[Node, ...] = (
    (7.0, 32.0, 1.0, 2.5),
    (8.0, 22.0, 8.0, 5.0),
    (9.0, 8.0, 16.0, 4.6),
    (10.5, -8.0, 21.0, 4.4),
    (16.0, -26.0, 20.5, 5.0),
    (25.0, -40.0, 12.0, 5.6),
    (25.5, -56.0, 7.0, 3.4),
    (23.5, -68.0, 5.0, 1.8),
)
CHOROID: tuple[Node, ...] = ((9.0, -6.0, 19.0, 0.9), (17.0, -26.0, 18.5, 1.2), (25.0, -38.0, 11.0, 2.3))
CAUDATE: tuple[Node, ...] = (
    (11.5, 17.0, 1.0, 5.6),
    (13.5, 12.0, 11.0, 5.0),
    (16.0, -2.0, 20.5, 3.4),
    (22.0, -20.0, 23.0, 2.4),
    (29.5, -34.0, 15.0, 1.8),
)
BRAIN_STEM: tuple[Node, ...] = (
    (0.0, -21.0, -9.0, 10.5),
    (0.0, -25.0, -28.0, 13.5),
    (0.0, -28.0, -36.0, 12.0),
    (0.0, -37.0, -52.0, 7.5),
    (0.0, -45.0, -80.0, 5.5),
    (0.0, -47.0, -125.0, 5.0),
)
TEMPORAL_LOBE: tuple[Node, ...] = (
    (38.0, 12.0, -30.0, 14.0),
    (45.0, -8.0, -24.0, 19.0),
    (46.0, -38.0, -12.0, 20.0),
    (34.0, -72.0, 2.0, 20.0),
)
MEDIAL_TEMPORAL: tuple[Node, ...] = ((25.0, 2.0, -24.0, 11.0), (28.0, -20.0, -20.0, 13.0), (24.0, -42.0, -6.0, 12.0))


_PAIRED = (
    Landmark("hippocampus_anterior_tip", (24.0, -4.5, -21.5), "hippocampus anterior"),
    Landmark("hippocampus_head", (27.0, -12.5, -20.8), "hippocampus anterior"),
    Landmark("hippocampus_body", (30.8, -27.0, -13.8), "hippocampus posterior"),
    Landmark("hippocampus_tail_tip", (22.0, -41.8, -0.8), "hippocampus posterior"),
    Landmark("amygdala_centre", (21.5, 1.5, -15.5), "amygdala"),
    Landmark("thalamus_centre", (11.0, -19.0, 8.0), "thalamus"),
    Landmark("thalamus_pulvinar", (13.0, -27.0, 8.5), "thalamus"),
    Landmark("caudate_head", (12.0, 16.0, 4.0), "caudate"),
    Landmark("caudate_body", (16.0, -2.0, 20.5), "caudate"),
    Landmark("putamen_centre", (27.0, 2.0, 2.0), "putamen"),
    Landmark("pallidum_centre", (20.0, -3.0, 1.0), "pallidum"),
    Landmark("ventricle_frontal_horn", (7.8, 24.0, 6.5), "lateral ventricle"),
    Landmark("ventricle_atrium", (25.0, -44.0, 11.0), "lateral ventricle"),
    Landmark("cerebellar_hemisphere", (24.0, -62.0, -38.0), "cerebellum"),
)
LANDMARKS = (
    *(
        Landmark(f"{side}_{mark.name}", (sign * mark.point[0], *mark.point[1:]), mark.label)
        for side, sign in (("left", -1), ("right", 1))
        for mark in _PAIRED
    ),
    Landmark("midbrain", (0.0, -21.0, -10.0), "brain stem"),
    Landmark("pons", (0.0, -24.0, -29.0), "brain stem"),
    Landmark("medulla", (0.0, -37.0, -52.0), "brain stem"),
    Landmark("third_ventricle", (0.0, -10.0, 2.0), "cerebrospinal fluid"),
    Landmark("corpus_callosum_body", (0.0, -6.0, 27.0), "white matter"),
    Landmark("vermis", (0.0, -70.0, -30.0), "cerebellum"),
)
