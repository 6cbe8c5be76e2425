"""A real Alertmanager with our inhibition rules, whose minutes are short, and the one whom it notifies."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, final

from tests.fakes.loopback import Loopback
from tests.kafka.cluster import free_port
from tests.kafka.programs import ask, wait_until
from tests.operation.prometheus import ROOT

CONFIG = ROOT / "deploy" / "prometheus" / "alertmanager.yaml"
LONG = "2099-01-01T00:00:00Z"
WAIT = "100ms"

Labels = dict[str, str]


def faster(config: str, webhook: str, faster_by: int = 0) -> str:
    """Return a configuration that waits a moment instead of minutes, or so much shorter, and tells the webhook."""
    for before, after in (
        ("group_wait: 1m", f"group_wait: {60_000 // faster_by}ms" if faster_by else f"group_wait: {WAIT}"),
        ("group_wait: 10s", f"group_wait: {10_000 // faster_by}ms" if faster_by else f"group_wait: {WAIT}"),
        ("group_interval: 5m", f"group_interval: {300_000 // faster_by}ms" if faster_by else f"group_interval: {WAIT}"),
        ("- name: segment-fullstory\n", f"- {{name: segment-fullstory, webhook_configs: [{{url: '{webhook}'}}]}}\n"),
    ):
        assert config.count(before) == 1, before
        config = config.replace(before, after)
    return config


@final
class Webhook(Loopback):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        """All notifications that something fires."""
        self.at: list[float] = []
        """When each of them came, by the monotonic clock."""
        told, at = self.told, self.at

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                notification = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if notification["status"] == "firing":
                    at.append(time.monotonic())
                    told.append(notification)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)

    def knows(self, alert: Labels) -> bool:
        """Say whether it was told of the alert."""
        return any(alert in labels_of(each) for each in list(self.told))


@final
class Alertmanager:
    """Is told what fires, as by Prometheus."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._began: dict[frozenset[tuple[str, str]], str] = {}
        self._steps = 0

    @property
    def address(self) -> str:
        """Where it listens: host and port."""
        return self._url.removeprefix("http://")

    def start(self, webhook: str, faster_by: int = 0) -> None:
        """Begin to notify the webhook."""
        config = self._folder / "alertmanager.yaml"
        config.write_text(faster(CONFIG.read_text(encoding="utf-8"), webhook, faster_by), encoding="utf-8")
        options = [
            f"--config.file={config}",
            f"--storage.path={self._folder / 'alerts'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]
        log = self._folder / "alertmanager.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(["prometheus-alertmanager", *options], stdout=output, stderr=output)
        wait_until(self._is_ready, f"Alertmanager is ready; see {log}")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def fires(self, alerts: Sequence[Labels], webhook: Webhook) -> None:
        """Let just these alerts fire; returns when Alertmanager has told the webhook what it tells of them."""
        self._post(alerts)
        for _ in range(2):  # when the second one is told, all that began with the first one has been
            self._steps += 1
            end = {"alertname": "Told", "step": str(self._steps)}
            self._post([*alerts, end])
            wait_until(partial(webhook.knows, end), "all is told", poll_s=0.01)

    def _post(self, alerts: Sequence[Labels]) -> None:
        now = datetime.now(UTC).isoformat()
        fires = {frozenset(each.items()) for each in alerts}
        over = [(each, self._began.pop(each), now) for each in self._began.keys() - fires]
        changed = [*((each, self._began.setdefault(each, now), LONG) for each in fires), *over]
        body = [{"labels": dict(labels), "startsAt": began, "endsAt": ended} for labels, began, ended in changed]
        answer = ask(f"{self._url}/api/v2/alerts", body, {"Content-Type": "application/json"})
        assert answer == b"", answer

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "alertmanager.log").read_text(encoding="utf-8")[-2_000:]
        try:
            return b"OK" in ask(f"{self._url}/-/ready")
        except ConnectionError:
            return False


def labels_of(notification: Mapping[str, Any]) -> list[Labels]:
    """Return the labels of what fires, by a notification."""
    return [each["labels"] for each in notification["alerts"] if each["status"] == "firing"]
