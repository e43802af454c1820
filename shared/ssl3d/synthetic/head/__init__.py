"""The head: ``brain_mri`` and ``hippocampus_mri``."""
