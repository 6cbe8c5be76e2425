"""How hypothesis runs here: without a clock, because a busy machine is no failure."""

from hypothesis import HealthCheck, settings

settings.register_profile("properties", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("properties")
