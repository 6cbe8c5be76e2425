"""A real Prometheus with our rules, in whose world an hour is a minute."""

import json
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final
from urllib.parse import quote

from tests.kafka.cluster import free_port
from tests.kafka.programs import ask, wait_until

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
FASTER = 60
SCRAPE_S = 0.5

_DURATION = re.compile(r"(?<=\[|\s)(\d+)(s|m|h|d)(?=\]|\s|\))")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def faster(rules: str) -> str:
    """Return rules whose windows and waits are so much shorter; a record is late after five seconds, not sixty.

    What the worker and its client do is as slow as ever: librdkafka's statistics come every ten seconds, brokers count
    as gone after fifteen, and a request that failed waits up to thirty, so a partition is stuck only after a minute. A
    worker takes seconds to start on a busy machine, so it is down only after twenty.
    """

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[1]) * _SECONDS[found[2]]
        return f"{max(seconds / FASTER, SCRAPE_S) * 1_000 if seconds else 0:.0f}ms"

    return (
        _DURATION.sub(shorter, rules)
        .replace('le=~"60|60[.]0"', 'le=~"5|5[.]0"')
        .replace("(-Inf, 60,", "(-Inf, 5,")
        .replace("< 60 * 60", "< 60")
        .replace("10 * 60", "10")
        .replace("2 * 60", "15")
        .replace("for: 7000ms", "for: 60000ms")
        .replace("build_info[4320000ms])\n        for: 5000ms", "build_info[4320000ms])\n        for: 20000ms")
    )


@final
class Prometheus:
    """Scrapes targets, each as a job of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        """Where it answers, without a path; what is written there is taken, too."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, targets: Mapping[str, str], alertmanager: str = "", scrape_s: float = SCRAPE_S) -> None:
        """Begin to scrape each job's `host:port`, and to tell what fires to an Alertmanager, if there is one."""
        (self._folder / "rules.yaml").write_text(faster(RULES.read_text(encoding="utf-8")), encoding="utf-8")
        config = self._folder / "prometheus.yaml"
        config.write_text(
            f"global: {{scrape_interval: {scrape_s * 1_000:.0f}ms, evaluation_interval: {SCRAPE_S * 1_000:.0f}ms}}\n"
            "rule_files: [rules.yaml]\n"
            f"alerting: {{alertmanagers: [{{static_configs: [{{targets: [{alertmanager}]}}]}}]}}\n"
            "scrape_configs:\n"
            + "".join(
                f"  - {{job_name: {json.dumps(job)}, static_configs: [{{targets: ['{target}']}}]}}\n"
                for job, target in targets.items()
            ),
            encoding="utf-8",
        )
        options = [
            f"--config.file={config}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--web.enable-remote-write-receiver",
        ]
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(["prometheus", *options], stdout=log, stderr=log)
        wait_until(self._is_ready, f"Prometheus is ready; see {self._folder / 'prometheus.log'}")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def suspend(self) -> None:
        """Stop it where it is: it neither scrapes nor evaluates."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a suspended one go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what the expression gives now; raises for one that is wrong."""
        answer = self._get(f"/api/v1/query?query={quote(expression)}")
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that fire, or may soon."""
        alerts: list[dict[str, Any]] = self._get("/api/v1/alerts")["data"]["alerts"]
        return alerts

    def ever_fired(self) -> set[str]:
        """Return the names of all alerts that have fired."""
        found = self.query('count by (alertname) (last_over_time(ALERTS{alertstate="firing"}[1h]))')
        return {each["metric"]["alertname"] for each in found}

    def evaluation_s(self) -> float:
        """Return how long the rules took when they were last evaluated."""
        return sum(float(group["evaluationTime"]) for group in self._get("/api/v1/rules")["data"]["groups"])

    def own(self, metric: str) -> float:
        """Return a metric of its own, summed over labels."""
        lines = ask(f"{self.url}/metrics").decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{metric}[ {{]", line))

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "prometheus.log").read_text(encoding="utf-8")[-2_000:]
        try:
            return b"Ready" in ask(f"{self.url}/-/ready")
        except ConnectionError:
            return False

    def _get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(ask(self.url + path))
        return answer
