"""Self-supervised pre-training for 3D medical images, as MONAI bundles that simply run."""

__version__ = "0.1.0"
