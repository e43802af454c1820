"""From shapes to intensities: tissue contrast, partial volume, texture, bias field and noise of four MR sequences."""

import numpy as np

CONTRASTS = ("t1n", "t1c", "t2w", "t2f")
MODALITIES = {"t1n": "T1", "t1c": "T1 contrast-enhanced", "t2w": "T2", "t2f": "FLAIR"}

# Signal of each tissue in the order of CONTRASTS; white matter on T1 is 0.95.
TISSUES = {
    "air": (0.0, 0.0, 0.0, 0.0),
    "fat": (1.15, 1.15, 0.75, 0.65),
    "muscle": (0.42, 0.48, 0.24, 0.32),
    "bone": (0.10, 0.10, 0.08, 0.10),
    "marrow": (0.62, 0.66, 0.36, 0.34),
    "fluid": (0.16, 0.17, 1.25, 0.10),
    "grey": (0.56, 0.58, 0.64, 0.66),
    "white": (0.95, 0.96, 0.42, 0.46),
    "thalamus": (0.72, 0.74, 0.52, 0.56),
    "caudate": (0.59, 0.61, 0.58, 0.64),
    "putamen": (0.63, 0.65, 0.52, 0.58),
    "pallidum": (0.78, 0.80, 0.34, 0.42),
    "hippocampus": (0.51, 0.53, 0.67, 0.72),
    "amygdala": (0.56, 0.58, 0.64, 0.70),
    "brain_stem": (0.86, 0.87, 0.46, 0.52),
    "vessel": (0.30, 1.55, 0.12, 0.12),
    "choroid": (0.32, 1.25, 1.05, 0.55),
}
TEXTURE = 0.05  # relative standard deviation of the signal inside a tissue


def tissue_signals(generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Signals of one subject, each shape ``(4,)`` in the order of ``CONTRASTS``: the table with 4 % variation."""
    spread = 1 + 0.04 * generator.standard_normal((len(TISSUES), len(CONTRASTS)))
    return {
        name: (np.asarray(row) * factor).astype(np.float32)
        for (name, row), factor in zip(TISSUES.items(), spread, strict=True)
    }


def acquire(
    image: np.ndarray, texture: np.ndarray, positions: tuple[np.ndarray, ...], generator: np.random.Generator
) -> np.ndarray:
    """Turn noise-free signals into what a scanner stores.

    Args:
        image: Shape ``(X, Y, Z)``, signals.
        texture: Same shape, smooth and of unit variance.
        positions: The voxels' coordinates along the three axes, in mm from the centre of the coil.
        generator: Source of bias field, noise and gain.

    Returns:
        Shape ``(X, Y, Z)``, int16: a smooth bias of about 10 %, Rician noise of 2.5 to 5 % of the white matter's T1
        signal (H. Gudbjartsson, S. Patz, MRM 1995), and an arbitrary gain.
    """
    bias = np.zeros(image.shape, np.float32)
    slopes = generator.normal(0, (0.08, 0.09, 0.05), (3, 3))  # of x, x², x³, per axis
    for axis, (position, coefficients) in enumerate(zip(positions, slopes, strict=True)):
        t = position / 90.0
        profile = sum(c * t**power for power, c in enumerate(coefficients, start=1))
        bias += np.asarray(profile, np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    signal = image * (1 + np.float32(TEXTURE) * texture) * np.exp(np.clip(bias, -0.5, 0.5))
    sigma = np.float32(generator.uniform(0.025, 0.05))
    real = signal + sigma * generator.standard_normal(image.shape, dtype=np.float32)
    imaginary = sigma * generator.standard_normal(image.shape, dtype=np.float32)
    gain = np.float32(np.exp(generator.uniform(np.log(150), np.log(3000))))
    return np.clip(np.rint(gain * np.sqrt(real * real + imaginary * imaginary)), 0, 32767).astype(np.int16)
