"""The worker, put together from settings and kept up to date: the only room that knows everyone (layer 6)."""
