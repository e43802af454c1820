"""Read scans: files, grids, facts, label conventions."""
