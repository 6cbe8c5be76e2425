"""Toxiproxy, which spoils connections on demand: built once from its Go module, driven by its HTTP API."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import orjson

from tests.cached import cached
from tests.kafka.cluster import free_port
from tests.kafka.programs import ROOT, ask, wait_until

MODULE = "github.com/Shopify/toxiproxy/v2"
VERSION = "v2.5.0"
CACHE = ROOT / ".cache" / "toxiproxy"


@final
class Toxiproxy:
    """A running Toxiproxy; its proxies listen on loopback."""

    def __init__(self, url: str) -> None:
        self._url = url

    def add(self, name: str, port: int, behind: int) -> None:
        """Let a proxy listen on a port, for the server on the port behind it."""
        self._post("/proxies", {"name": name, "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{behind}"})

    def spoil(self, name: str, kind: str, **attributes: int) -> None:
        """Spoil what goes through the proxy, both ways, until `heal`."""
        for stream in ("upstream", "downstream"):
            toxic = {"name": stream, "type": kind, "stream": stream, "attributes": attributes}
            self._post(f"/proxies/{name}/toxics", toxic)

    def close(self, name: str) -> None:
        """Cut the proxy's connections and refuse new ones, until `heal`."""
        self._post(f"/proxies/{name}", {"enabled": False})

    def heal(self) -> None:
        """Let everything through again."""
        self._post("/reset", {})

    def _post(self, path: str, body: object) -> None:
        answer = ask(f"{self._url}{path}", body)
        if answer and "error" in orjson.loads(answer):
            raise RuntimeError(f"Toxiproxy refuses {path}: {answer.decode()}")


@contextmanager
def toxiproxy(log: Path) -> Iterator[Toxiproxy]:
    """Run a Toxiproxy."""
    port = free_port()
    command = [str(binary()), "-host", "127.0.0.1", "-port", str(port)]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: _answers(url), "Toxiproxy listens")
            yield Toxiproxy(url)
        finally:
            process.kill()


def missing() -> str | None:
    """Return why there is no Toxiproxy, or None; that it can be built is made sure by building it."""
    try:
        binary()
    except (OSError, RuntimeError) as fault:
        return f"Toxiproxy could not be built with Go: {fault}"
    return None


def binary() -> Path:
    """Return the program; it is built once for each version."""
    return cached(CACHE, f"{MODULE}@{VERSION}".encode(), _build) / "server"


def _build(folder: Path) -> None:
    folder.mkdir()
    command = ["go", "install", f"{MODULE}/cmd/server@{VERSION}"]
    environment = os.environ | {"GOBIN": str(folder), "CGO_ENABLED": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"go ended with {done.returncode}: {done.stderr[-1_000:].strip()}")


def _answers(url: str) -> bool:
    try:
        return bool(ask(f"{url}/version"))
    except ConnectionError:
        return False
