"""Chaos: several workers on a real Kafka, faults by seed, and an oracle that knows what became of every record."""
