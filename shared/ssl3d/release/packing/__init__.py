"""Self-contained zips of bundles."""
