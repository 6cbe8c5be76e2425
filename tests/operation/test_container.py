"""The container without a container: every step of the Dockerfile, and the commands of compose.yaml.

`test_dist.py` builds the image. Docker itself is not tested: its own base image, mounts and networks.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from processor.adapters.kafka.mock import MockCluster
from processor.settings.variables import variables
from tests.kafka.cluster import Cluster, free_port, java
from tests.kafka.conftest import Names
from tests.kafka.maven import run
from tests.kafka.programs import PROGRAM, SandboxProgram, ask, sandbox, wait_until, worker
from tests.needs import need
from tests.operation import helm
from tests.operation.prometheus import ROOT
from tests.registry.apicurio import Apicurio

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
COMPOSE = ROOT / "deploy" / "compose.yaml"
NOBODY = 10001
PYTHON = "/usr/bin/python3"
"""The system's, which another user may run, too."""


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, each with what follows it."""
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8")).replace("\\\n", " ")
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())
    ]


def of(name: str) -> str:
    """Return what follows the last instruction of a name."""
    return [rest for word, rest in instructions() if word == name][-1]


def services() -> dict[str, dict[str, Any]]:
    """Return the services of compose.yaml."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return found


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """Carry out the build's COPY and RUN in folders of our own; give what becomes /app."""
    has_venv = subprocess.run(
        [PYTHON, "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"], check=False
    )
    if os.geteuid() != 0 or has_venv.returncode:
        need(f"this takes root, who alone becomes another user, and {PYTHON} 3.11 or newer with its venv module")
    with tempfile.TemporaryDirectory(prefix="image-") as base:
        Path(base).chmod(0o755)  # another user has to be able to enter it
        yield _built(Path(base))


def _built(base: Path) -> Path:
    source, app = base / "src", base / "app"
    source.mkdir()
    build = instructions()[: [word for word, _ in instructions()].index("FROM", 2)]
    for word, rest in build:
        if word == "COPY":
            *names, target = rest.split()
            for name in names:
                _copy(ROOT / name, source / target / ("" if (ROOT / name).is_file() else ".") / "")
        elif word == "RUN":
            script = rest.replace("/app", str(app)).replace("python -m venv", f"{PYTHON} -m venv")
            done = subprocess.run(["sh", "-ec", script], cwd=source, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(source)  # the second stage does not have it
    return app


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    else:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)


def environment(app: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return what the image's ENV and a deployment's make."""
    own = dict(each.split("=", 1) for each in shlex.split(of("ENV")))
    return {**own, "PATH": f"{app / 'bin'}:/usr/bin:/bin", "HOME": "/", **settings}


def test_the_built_image_runs_as_nobody_is_healthy_and_leaves_when_told_to(image: Path) -> None:
    """The image runs without root or a writable folder, passes its health check, and ends on SIGTERM."""
    assert of("USER") == f"{NOBODY}:{NOBODY}"
    entry, command = json.loads(of("ENTRYPOINT")), json.loads(of("CMD"))
    check = json.loads(of("HEALTHCHECK").split("CMD", 1)[1])
    with MockCluster("segment", "letters") as kafka, sandbox() as server:
        settings = environment(
            image,
            {
                "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "PROCESSOR_KAFKA__TOPICS": "segment",
                "PROCESSOR_KAFKA__GROUP_ID": "group",
                "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
                "PROCESSOR_FULLSTORY__API_KEY": "na1.architect",
                "PROCESSOR_FULLSTORY__BASE_URL": server.url,
                "PROCESSOR_HTTP__PORT": str(free_port()),
            },
        )
        identity = {"user": NOBODY, "group": NOBODY, "extra_groups": (), "cwd": "/", "env": settings}

        proxied = {**identity, "env": {**settings, "http_proxy": "http://127.0.0.1:9"}}  # it does not lead back here

        def is_healthy() -> bool:
            return subprocess.run(check, capture_output=True, check=False, **proxied).returncode == 0  # type: ignore[call-overload, no-any-return]

        with subprocess.Popen([*entry, *command], stderr=subprocess.PIPE, text=True, **identity) as process:  # type: ignore[call-overload]
            assert not is_healthy()
            wait_until(is_healthy, "the health check passes")
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=40)[1]
    assert process.returncode == 0, said
    assert '"event": "stopped"' in said
    assert not list(image.rglob("*hatchling*"))


def test_what_is_sent_to_the_build_is_what_it_copies() -> None:
    """The build's context holds what the Dockerfile copies and nothing else."""
    copied = {
        name for word, rest in instructions() if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]
    }
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_compose_names_settings_and_commands_that_there_are() -> None:
    """Every variable in compose.yaml is a setting, and every mounted file exists."""
    named = {
        name for each in services().values() for name in each.get("environment", {}) if name.startswith("PROCESSOR_")
    }
    assert named <= {each.name for each in variables()}
    mounts = [volume.split(":")[0] for each in services().values() for volume in each.get("volumes", [])]
    assert mounts
    assert all((COMPOSE.parent / mount).exists() for mount in mounts)


@pytest.fixture(scope="module")
def _has_go() -> None:
    need(helm.missing())


@pytest.mark.usefixtures("_has_go")
def test_compose_takes_its_file() -> None:
    """compose.yaml is valid by Compose's own schema."""
    schema = helm.module_file("github.com/compose-spec/compose-go/v2@v2.4.9", "schema/compose-spec.json")
    jsonschema.Draft7Validator(json.loads(schema)).validate(yaml.safe_load(COMPOSE.read_text(encoding="utf-8")))


def test_one_service_builds_the_image_and_each_is_asked_what_it_can_answer() -> None:
    """One service builds the image, and each that is no worker has a health check of its own."""
    own = {name: each for name, each in services().items() if each["image"] == "segment-fullstory"}
    assert [name for name, each in own.items() if "build" in each] == ["worker"]
    assert [name for name, each in own.items() if "healthcheck" not in each] == ["worker"]
    assert all(each["pull_policy"] == "never" for name, each in own.items() if name != "worker")
    assert all(each["read_only"] for each in own.values())


@pytest.mark.kafka
def test_the_commands_of_compose_make_a_system_that_delivers(kafka: Cluster, names: Names, tmp_path: Path) -> None:
    """The services' commands, in order, make a system that delivers records and dead-letters bad ones."""
    parts = services()
    (tmp_path / "registry").mkdir()
    with Apicurio(tmp_path / "registry") as registry, sandbox(*_options(parts["sandbox"]["command"])) as server:
        known = _addresses(kafka, registry, server, names)
        check = [each.replace("http://127.0.0.1:8400", server.url) for each in parts["sandbox"]["healthcheck"]["test"]]
        assert server.url in check[-1]
        run([sys.executable, *check[2:]])
        for line in parts["topics"]["command"][0].splitlines():
            tool, *arguments = shlex.split(_here(line, known))
            assert tool == "/opt/kafka/bin/kafka-topics.sh"
            run([*java(), "org.apache.kafka.tools.TopicCommand", *arguments])
        for name in ("schemas", "generator"):
            arguments = [_here(each, known) for each in parts[name]["command"]]
            arguments += ["--count", "2000", "--rate", "2000"] if name == "generator" else []
            _run(arguments, _settings(parts[name], known))
        with worker(_settings(parts["worker"], known), tmp_path / "log") as program:
            program.wait_until_joined()
            wait_until(lambda: program.metrics()["records_consumed_total"] >= 2_000, "all is consumed")
            wait_until(lambda: program.metrics()["records_in_flight"] == 0, "all is settled")
            metrics = program.metrics()
            page = ask(f"http://{program.address}/").decode()
    assert metrics["records_delivered_total"] > 1_800
    assert metrics["records_dead_lettered_total"] > 0
    assert metrics["registry_requests_total{outcome=found}"] >= 2
    assert "<h2>Idle</h2>" in page


def _options(command: Sequence[str]) -> list[str]:
    """Return the sandbox's options but for where it listens."""
    assert command[0] == "sandbox"
    return list(command[command.index("--latency") :])


def _addresses(kafka: Cluster, registry: Apicurio, server: SandboxProgram, names: Names) -> dict[str, str]:
    return {
        "http://registry:8080/apis/ccompat/v7": registry.url,
        "http://sandbox:8400": server.url,
        "kafka:9092": kafka.bootstrap_servers,
        "dlq.segment": names.dead_letters,
        "segment-identify": f"{names.topic}-identify",
        "segment-track": f"{names.topic}-track",
    }


def _here(text: str, known: Mapping[str, str]) -> str:
    """Return a text with this computer's addresses and this test's names in it."""
    for name, own in known.items():
        text = text.replace(name, own)
    topic = known["dlq.segment"].removesuffix("-dlq")
    return re.sub(r"(?<![\w./-])segment(?![\w.-])", topic, text)


def _settings(service: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    return {name: _here(value, known) for name, value in service["environment"].items()}


def _run(arguments: Sequence[str], settings: Mapping[str, str]) -> None:
    done = subprocess.run(
        [*PROGRAM, *arguments], cwd=ROOT, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
