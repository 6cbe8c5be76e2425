"""Transforms from bytes to events to FullStory items: pure, lists in, lists out (layer 1)."""
