"""Commands and settings: the composition root (layer 6)."""
