"""What tests need and a machine may not have."""

import os

import pytest

SERVERS = {
    *("java", "mvn", "kcat"),
    *("go", "helm"),
    *("node", "npm"),
    *("chromium", "prometheus", "promtool", "prometheus-alertmanager", "amtool"),
    *("buildah", "debootstrap"),
    *("nginx", "haproxy", "apache2", "squid", "caddy", "envoy"),
}
"""Programs that a test may start only if it is marked `servers`."""


def need(missing: str | None) -> None:
    """Go on where nothing is missing; else skip, or fail where `REQUIRE_KAFKA=1` says that all must be tested."""
    if missing is not None:
        (pytest.fail if os.environ.get("REQUIRE_KAFKA") == "1" else pytest.skip)(missing)
