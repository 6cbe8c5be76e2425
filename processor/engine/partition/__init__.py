"""The owner of a partition's state, without I/O, clock or loop: events in, actions out."""
