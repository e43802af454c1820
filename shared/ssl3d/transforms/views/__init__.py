"""Views of a batch, one file per method."""
