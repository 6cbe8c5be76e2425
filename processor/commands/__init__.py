"""The command line: a room for each command, none of which imports another (layer 7)."""
