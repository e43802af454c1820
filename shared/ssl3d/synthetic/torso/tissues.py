"""Hounsfield units: what each tissue measures in a native scan and after contrast medium, and what a scanner adds."""

import numpy as np
from scipy import ndimage

MODALITIES = {"ct": "CT"}
PHASES = ("native", "arterial", "portal venous", "delayed")

# HU at the four phases; between them, contrast medium comes and goes evenly.
ENHANCING = {
    "artery": (42, 310, 155, 112),
    "vein": (40, 62, 128, 110),  # systemic: vena cava below the kidneys, iliac veins
    "vena cava": (40, 105, 135, 110),
    "portal vein": (40, 105, 168, 118),
    "hepatic vein": (40, 52, 158, 116),
    "left heart blood": (42, 300, 152, 112),
    "right heart blood": (42, 190, 140, 112),
    "pulmonary artery": (42, 230, 145, 112),
    "coronary artery": (42, 300, 152, 112),
    "myocardium": (44, 105, 118, 98),
    "liver": (58, 68, 112, 96),
    "spleen": (48, 118, 122, 98),
    "kidney cortex": (33, 165, 182, 150),
    "kidney medulla": (30, 68, 160, 150),
    "urine": (4, 4, 10, 220),
    "pancreas": (42, 102, 98, 80),
    "adrenal": (24, 68, 76, 58),
    "gallbladder wall": (32, 55, 78, 70),
    "stomach wall": (38, 74, 88, 76),
    "bowel wall": (36, 74, 92, 78),
    "esophagus wall": (38, 60, 76, 68),
    "muscle": (53, 58, 64, 62),
    "marrow": (170, 178, 188, 184),
}
FIXED = {
    "air": -1000,
    "gas": -960,
    "lung": -830,
    "fissure": -640,
    "consolidation": 28,
    "bronchus wall": 20,
    "fat": -104,
    "visceral fat": -98,
    "skin": 25,
    "bone": 620,
    "cartilage": 95,
    "disc": 82,
    "spinal fluid": 12,
    "cord": 36,
    "bile": 8,
    "stool": 28,
}
TEXTURE = 4.0  # HU, standard deviation of the density inside a soft tissue
POSITIVE_CONTRAST = 0.3  # how many subjects have drunk contrast medium


def hounsfield(generator: np.random.Generator, moments: tuple[float, float] = (0.0, 3.0)) -> dict[str, np.ndarray]:
    """HU of the tissues of one subject, each shape ``(1,)``.

    Dose and people vary. Food and fluid in stomach and bowel are drawn too: from water to oral contrast medium.

    Args:
        generator: Source of the values.
        moments: Between which of the four phases, counted from 0, the scan is taken.
    """
    moment = generator.uniform(*moments)
    dose = np.exp(generator.normal(0, 0.12))
    values = {}
    for name, phases in ENHANCING.items():
        gain = dose * np.exp(generator.normal(0, 0.06)) * (np.interp(moment, range(len(PHASES)), phases) - phases[0])
        values[name] = phases[0] + gain + generator.normal(0, 3)
    for name, value in FIXED.items():
        values[name] = value + generator.normal(0, 3 if abs(value) < 300 else 12)
    values["air"] = -1000.0
    drunk = generator.uniform() < POSITIVE_CONTRAST
    values["stomach content"] = generator.uniform(110, 260) if drunk else generator.uniform(2, 45)
    values["bowel content"] = generator.uniform(60, 220) if drunk else generator.uniform(8, 40)
    values["ground glass"] = generator.uniform(-640, -400)
    return {name: np.array([value], np.float32) for name, value in values.items()}


def scan(
    image: np.ndarray, texture: np.ndarray, depth: np.ndarray, spacing: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Turn noise-free HU into what a scanner stores.

    Args:
        image: Shape ``(X, Y, Z)``, HU.
        texture: Same shape, smooth and of unit variance.
        depth: Same shape, 0 outside of the body and 1 in its middle, where least radiation comes through.
        spacing: Size of a voxel in mm, shape ``(3,)``, the third across the slices.
        generator: Source of the noise.

    Returns:
        Shape ``(X, Y, Z)``, int16, HU from -1024 up. The noise has a standard deviation of 10 to 22 HU (less in thick
        slices) in the middle and the grain of filtered back-projection: its lowest frequencies are missing within a
        slice, and slices are independent (K. M. Hanson, Medical Physics 6, 441, 1979).
    """
    tissue = np.clip((image + 300) / 300, 0, 1)  # lungs and air have no texture of their own
    signal = image + texture * tissue * (TEXTURE + 0.06 * np.maximum(image - 150, 0))
    white = generator.standard_normal(image.shape, dtype=np.float32)
    grain = ndimage.gaussian_filter(white, (0.55, 0.55, 0))
    grain -= 0.8 * ndimage.gaussian_filter(white, (1.6, 1.6, 0))
    sigma = generator.uniform(10, 22) * np.sqrt(spacing[0] / spacing[2])
    signal += (sigma / grain.std()) * (0.6 + 0.4 * depth) * grain
    return np.clip(np.rint(signal), -1024, 3071).astype(np.int16)


def add_couch(image: np.ndarray, axes: list[np.ndarray], back: float) -> None:
    """Draw the couch that the patient lies on: two thin curved shells, wherever the image shows air.

    Args:
        image: Shape ``(X, Y, Z)``, HU, on a RAS grid; changed in place.
        axes: World coordinates of the voxels along each axis, mm.
        back: World y of the patient's back in mm.
    """
    across, ahead = axes[0][:, None], axes[1][None, :]
    width = float(axes[1][1] - axes[1][0])
    for below, bend in ((10.0, 520.0), (42.0, 380.0)):
        distance = np.abs(ahead - (back - below + across**2 / (2 * bend))) - 1.2
        cover = np.clip(0.5 - distance / width, 0, 1) * (np.abs(across) < 205)
        shell = np.float32(-1000) + np.float32(1000) * cover[:, :, None].astype(np.float32)
        np.maximum(image, np.where(image < -950, shell, image), out=image)
