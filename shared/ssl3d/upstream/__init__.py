"""Patches of MONAI and torch, each with the condition under which it can go."""
