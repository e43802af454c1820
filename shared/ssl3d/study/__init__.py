"""Compare starting weights over labels and seeds."""
