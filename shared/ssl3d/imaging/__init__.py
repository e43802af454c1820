"""How one scan is read: files, grids, facts, label conventions."""
