"""Decisions: pure, with `now` and the seeded generator passed in (layer 2)."""
