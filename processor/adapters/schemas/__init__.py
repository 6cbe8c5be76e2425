"""Where schemas are found by their ids: a folder, or a schema registry."""
