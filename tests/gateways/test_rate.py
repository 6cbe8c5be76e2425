"""A gateway that limits the rate of requests: the worker keeps to it, whatever status the refusals have."""

from pathlib import Path

import pytest

from processor.workload import generate
from tests.gateways.scene import CLEAN, assert_exact, scene

SEED = 19_200
RECORDS = 150
RATE = 20
REFUSED_SHARE = 0.2


@pytest.mark.parametrize("status", [503, 429])
def test_a_rate_is_learned_from_its_refusals(status: int, tmp_path: Path) -> None:
    """Of the requests to nginx's `limit_req` few are refused, with its default 503 as with 429."""
    changes = {
        "server {": f"limit_req_zone $binary_remote_addr zone=fullstory:1m rate={RATE}r/s;\n"
        f"server {{\n    limit_req_status {status};\n    limit_req zone=fullstory burst=4 nodelay;"
    }
    with (
        scene("nginx", tmp_path, changes, FULLSTORY__API_KEY="na1.standard") as here,
        here.gateway.running(),
        here.worker() as worker,
    ):
        here.produce(generate(SEED, RECORDS, CLEAN))
        here.wait_until_settled(worker)
        answered = [line.split('"')[2].split()[0] for line in here.gateway.access_log()]

        assert_exact(here)
        assert answered.count("200") >= here.server.effects()
        assert answered.count(str(status)) < REFUSED_SHARE * RECORDS
