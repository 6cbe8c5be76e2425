"""What a gateway answers to questions about jobs, in FullStory's place: it denies no job and accepts no failure."""

from pathlib import Path

import pytest

from processor.workload import generate
from tests.gateways.scene import CLEAN, assert_exact, scene, wait_until_told
from tests.kafka.programs import wait_until

SEED = 19_100
RECORDS = 400
DENIED_FOR_S = 10.0
"""Longer than the patience with a job that FullStory denies."""

NO_ROUTE = {"prefix: /}": "prefix: /nothing}"}
"""Envoy answers 404 without a body to what no route takes."""
DECODED = {"https://api.fullstory.com;": "https://api.fullstory.com/;"}
"""With a URI part, if only `/`, nginx decodes the path, and FullStory denies the half of an id that it is asked for."""
NO_SLASHES = {"AllowEncodedSlashes NoDecode": "AllowEncodedSlashes Off"}
"""Apache's default: 404 to each path that holds %2F."""


def test_a_404_without_a_route_denies_no_job(tmp_path: Path) -> None:
    """While Envoy knows no route, jobs are neither denied nor sent again; the halt stands until FullStory answers."""
    with scene("envoy", tmp_path, options=("--job-seconds", "3", "4")) as here, here.worker() as worker:
        with here.gateway.running():
            here.produce(generate(SEED, RECORDS, CLEAN))
            wait_until(lambda: len(here.server.jobs()) > 0, "a job is accepted")
        with here.gateway.running(NO_ROUTE):
            wait_until_told(worker, "404", "envoy")
            begun = here.server.stats()["now"]
            wait_until(lambda: here.server.stats()["now"] - begun > DENIED_FOR_S, "the route is long away")
            still = worker.ready()["halts"]
        with here.gateway.running():
            here.wait_until_settled(worker)
            wait_until(lambda: worker.ready()["halts"] == {}, "the halt ends")
        metrics, said = worker.metrics(), worker.said()

        assert "gateway" in still
        assert_exact(here)
        assert metrics["records_redelivered_total"] == 0
        assert said.count('"event": "delivery halted"') == 1, "the halt does not flap"


def test_job_ids_that_apache_refuses_are_no_lost_jobs(tmp_path: Path) -> None:
    """With AllowEncodedSlashes Off no job can be asked for: nothing is sent again, until Apache lets ids through."""
    with scene("apache", tmp_path, NO_SLASHES) as here, here.worker() as worker:
        with here.gateway.running():
            here.produce(generate(SEED + 1, RECORDS, CLEAN))
            wait_until_told(worker, "404", "Apache/2.4", "text/html")
            begun = here.server.stats()["now"]
            wait_until(lambda: here.server.stats()["now"] - begun > DENIED_FOR_S, "jobs are long refused")
        with here.gateway.running({}):
            here.wait_until_settled(worker)
        metrics = worker.metrics()

        assert_exact(here)
        assert metrics["records_redelivered_total"] == 0


def test_a_job_that_fullstory_denies_twice_halts(tmp_path: Path) -> None:
    """If nginx decodes the ids of jobs, FullStory itself denies them: after a second denial the worker stands still."""
    with scene("nginx", tmp_path, DECODED) as here, here.worker() as worker:
        with here.gateway.running():
            here.produce(generate(SEED + 2, RECORDS, CLEAN))
            wait_until(lambda: "denied_job" in worker.ready().get("halts", {}), "a job is denied twice")
            begun = here.server.stats()["now"]
            jobs = len(here.server.jobs())
            wait_until(lambda: here.server.stats()["now"] - begun > 2 * DENIED_FOR_S, "jobs are long denied")
            halts, more = worker.ready()["halts"], len(here.server.jobs()) - jobs
        with here.gateway.running({}):
            here.wait_until_settled(worker)
        balance = here.balance()

        assert any(job["id"] in str(halts) for job in here.server.jobs()), "the halt names a job"
        assert more == 0
        assert balance.lost == 0
        assert balance.repeated == 0


PAGES = {"403": "return 403", "200": "return 200 '<html>Who are you?</html>'"}


@pytest.mark.parametrize("policy", ["halt", "accept"])
@pytest.mark.parametrize("status", PAGES)
def test_a_page_in_the_place_of_errors_is_waited_for(status: str, policy: str, tmp_path: Path) -> None:
    """While nginx answers for the failed items of a job, they wait; after that each is attributed to its record."""
    page = f"    location ~ /errors$ {{\n        default_type text/html;\n        if (-f FLAG) {{ {PAGES[status]}; }}\n"
    page += "        proxy_pass https://api.fullstory.com;\n    }\n    location / {"
    options = ("--failing-items", "0.1")
    with (
        scene("nginx", tmp_path, {"    location / {": page}, options, DELIVERY__UNATTRIBUTED=policy) as here,
        here.gateway.running(),
        here.worker() as worker,
    ):
        here.gateway.flag.touch()
        here.produce(generate(SEED + 3, RECORDS, CLEAN))
        wait_until_told(worker, status, "nginx/1.22.1", "text/html")
        here.gateway.flag.unlink()
        here.wait_until_settled(worker)
        wait_until(lambda: worker.ready()["halts"] == {}, "the halt ends")
        balance = here.balance(may_reject=True)

        assert balance.faults == []
        assert balance.repeated == 0
        assert sum(balance.dead_lettered.values()) > 0
