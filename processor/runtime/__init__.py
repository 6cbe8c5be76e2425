"""The event loop: ports (layer 3), worker and delivery (layer 4)."""
