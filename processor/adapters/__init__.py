"""Third-party I/O behind the ports (layer 5)."""
