"""What the OpenTelemetry Collector makes of the worker's metrics: `python -m tests.operation.collector`.

One Prometheus scrapes a worker of a real Kafka. Another one is written to by a collector that scrapes the same worker.
What the two hold is compared, and what the rules and the dashboards find there. The collector is built from its Go
modules by its own builder, which takes minutes of both processors the first time: too long for the gate.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from bench.kafka import create, kafka
from bench.stages import CLEAN
from processor.workload import generate
from tests.cached import cached
from tests.go_program import go_program
from tests.kafka.programs import environment_of, sandbox, wait_until, worker
from tests.kafka.topics import producing
from tests.operation.prometheus import ROOT, RULES, SCRAPE_S, Prometheus, faster
from tests.operation.test_outage import queries

CACHE = ROOT / ".cache" / "collector"
VERSION = "v0.165.0"
CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"
NAME = "collector"
PARTS = {
    "dist": {"name": NAME, "output_path": ".", "build_tags": "remove_all_sd"},
    "receivers": [{"gomod": f"{CONTRIB}/receiver/prometheusreceiver {VERSION}"}],
    "exporters": [{"gomod": f"{CONTRIB}/exporter/prometheusremotewriteexporter {VERSION}"}],
}
RATE = 200
SECONDS = 60
EVERY = '{__name__=~"segment_fullstory_.*|process_.*|up|ALERTS"}'


def built() -> Path:
    """Return the collector; raises `CalledProcessError` when it can't be built."""
    builder = go_program(CACHE, "go.opentelemetry.io/collector/cmd/builder", VERSION)

    def build(folder: Path) -> None:
        folder.mkdir()
        (folder / "builder.yaml").write_text(yaml.safe_dump(PARTS), encoding="utf-8")
        subprocess.run([builder, "--config", "builder.yaml"], cwd=folder, check=True)

    return cached(CACHE, yaml.safe_dump(PARTS).encode(), build) / NAME


@contextmanager
def collector(folder: Path, target: str, prometheus: str) -> Iterator[None]:
    """Have a collector scrape `host:port` and write to a Prometheus until the end of the `with`."""
    config = folder / "collector.yaml"
    every = f"{SCRAPE_S * 1_000:.0f}ms"
    scrapes = {"job_name": "worker", "scrape_interval": every, "static_configs": [{"targets": [target]}]}
    given = {
        "receivers": {"prometheus": {"config": {"scrape_configs": [scrapes]}}},
        "exporters": {"prometheusremotewrite": {"endpoint": f"{prometheus}/api/v1/write"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"metrics": {"receivers": ["prometheus"], "exporters": ["prometheusremotewrite"]}},
        },
    }
    config.write_text(yaml.safe_dump(given), encoding="utf-8")
    with (folder / "collector.log").open("wb") as log:
        process = subprocess.Popen([built(), "--config", config], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def differences(direct: Prometheus, written: Prometheus) -> Iterator[str]:
    """Yield what differs between what was scraped and what was written."""
    here, there = ({tuple(sorted(each["metric"].items())) for each in of.query(EVERY)} for of in (direct, written))
    yield f"series: {len(here)} scraped, {len(there)} written"
    names = [{dict(each)["__name__"] for each in found} for found in (here, there)]
    yield f"names only scraped: {sorted(names[0] - names[1])}; only written: {sorted(names[1] - names[0])}"
    labels = [{label for each in found for label, _ in each} for found in (here, there)]
    yield f"labels only scraped: {sorted(labels[0] - labels[1])}; only written: {sorted(labels[1] - labels[0])}"
    values = [{pair for each in found for pair in each} for found in (here, there)]
    yield f"values only scraped: {sorted(values[0] - values[1])}"
    yield f"values only written: {sorted(values[1] - values[0])}"
    rules = yaml.safe_load(faster(RULES.read_text(encoding="utf-8")))["groups"]
    asked = [(each.get("record") or each["alert"], each["expr"]) for group in rules for each in group["rules"]]
    for name, query in (*asked, *queries()):
        counts = [len(each.query(query)) for each in (direct, written)]
        if counts[0] != counts[1]:
            yield f"{name}: {counts[0]} results scraped, {counts[1]} written"


def main() -> None:
    """Run all of it for a minute."""
    sys.stdout.write(f"collector {VERSION}\n")
    with ExitStack() as stack:
        cluster = stack.enter_context(kafka())
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        server = stack.enter_context(sandbox("--job-seconds", "0.1", "0.3"))
        names = create(cluster, 4)
        running = stack.enter_context(worker(environment_of(cluster, names, server.url), folders[0] / "log"))
        running.wait_until_joined()
        direct, written = (Prometheus(folder) for folder in folders)
        for each, targets in ((direct, {"worker": running.address}), (written, {})):
            stack.callback(each.stop)
            each.start(targets)
        stack.enter_context(collector(folders[0], running.address, written.url))
        stack.enter_context(producing(cluster, names.topic, generate(1, None, CLEAN), RATE))
        wait_until(lambda: bool(written.query("segment_fullstory_build_info")), "the collector writes")
        time.sleep(SECONDS)
        for line in differences(direct, written):
            sys.stdout.write(f"{line}\n")
        said = (folders[0] / "collector.log").read_text(encoding="utf-8").splitlines(keepends=True)
        sys.stdout.writelines(line for line in said if "\tinfo\t" not in line)


if __name__ == "__main__":
    main()
