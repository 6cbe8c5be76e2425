"""The vocabulary: what a record, a reason and an error are (layer 0)."""
