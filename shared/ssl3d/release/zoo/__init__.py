"""Serving and fetching bundles."""
