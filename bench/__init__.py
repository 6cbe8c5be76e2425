"""Measurements: how fast, at what cost. Run with `make bench`."""
