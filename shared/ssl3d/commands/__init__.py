"""The commands of ``ssl3d``, one file each: a command loads what it needs and nothing else."""
