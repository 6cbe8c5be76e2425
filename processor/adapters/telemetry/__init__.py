"""Metrics and the HTTP endpoint that shows them."""
