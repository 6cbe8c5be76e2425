"""`make dist`: each artefact of a release does its work alone, without a checkout."""

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from processor import __version__
from processor.adapters.kafka.mock import MockCluster
from tests.kafka.programs import ask, sandbox, wait_until, worker
from tests.needs import need
from tests.operation.conftest import demand
from tests.operation.helm import LEAST, missing, rendered
from tests.operation.prometheus import ROOT

BARE = {name: value for name, value in os.environ.items() if not name.startswith(("PROCESSOR_", "PYTHON"))}


def run(*command: str | Path, folder: Path = ROOT, environment: Mapping[str, str] = BARE) -> str:
    """Run a program to its good end; return what it wrote."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4_000:]
    return done.stdout


def make(target: str, folder: Path, environment: Mapping[str, str] = BARE, **variables: str) -> None:
    """Make a part of a release in a folder."""
    need(None if (Path(sys.prefix) / "installed").exists() else f"{sys.prefix} was not made by make")
    settings = [f"{name}={value}" for name, value in {"VENV": sys.prefix, "DIST": str(folder), **variables}.items()]
    run("make", target, *settings, environment=environment)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with wheel and sdist."""
    folder = tmp_path_factory.mktemp("dist")
    make("dist-packages", folder)
    return folder


@pytest.fixture(scope="module")
def bin_(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the programs of an environment that holds the wheel, and what is locked to run it."""
    venv = tmp_path_factory.mktemp("wheel") / "venv"
    run(sys.executable, "-m", "venv", venv)
    pip: list[str | Path] = [venv / "bin" / "pip", "--quiet", "install", "--no-deps", "--no-compile"]
    run(*pip, "--require-hashes", "--requirement", ROOT / "requirements-run.lock")
    run(*pip, *packages.glob("*.whl"))
    run(venv / "bin" / "pip", "check")
    return venv / "bin"


def test_the_wheel_alone_brings_every_command(bin_: Path, tmp_path: Path) -> None:
    """The installed wheel has its version, its help and the shipped schemas."""
    program = bin_ / "segment-fullstory"
    where = run(bin_ / "python", "-I", "-c", "import processor; print(processor.__file__)", folder=tmp_path)

    assert Path(where.strip()).is_relative_to(bin_.parent)
    assert __version__ in run(program, "--version", folder=tmp_path)
    assert "demo" in run(bin_ / "python", "-I", "-m", "processor", "--help", folder=tmp_path)
    for schema in (ROOT / "schemas").glob("*.avsc"):
        shown = run(program, "schemas", "show", schema.stem, folder=tmp_path)
        assert json.loads(shown) == json.loads(schema.read_text(encoding="utf-8"))


def test_the_wheel_alone_plays_the_demo(bin_: Path, tmp_path: Path) -> None:
    """The installed wheel plays the demo, and the account balances."""
    said = run(bin_ / "segment-fullstory", "demo", "--duration", "1", "--rate", "100", folder=tmp_path)

    assert re.search(r"lost:? +0\b", said)


def test_the_wheel_alone_says_which_settings_are_missing(bin_: Path, tmp_path: Path) -> None:
    """The installed wheel's `check` names each missing setting, without a traceback."""
    command = [str(bin_ / "segment-fullstory"), "check"]
    done = subprocess.run(command, cwd=tmp_path, env=BARE, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    for name in ("KAFKA__BOOTSTRAP_SERVERS", "KAFKA__TOPICS", "KAFKA__GROUP_ID", "FULLSTORY__API_KEY"):
        assert f"PROCESSOR_{name}" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_wheel_alone_serves_both_pages(bin_: Path, tmp_path: Path) -> None:
    """The installed wheel serves the worker's and the sandbox's page with styles and scripts."""
    program = [str(bin_ / "segment-fullstory")]
    with MockCluster("segment", "letters") as kafka, sandbox(program=program, root=tmp_path) as server:
        settings = {
            "PROCESSOR_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "PROCESSOR_KAFKA__TOPICS": "segment",
            "PROCESSOR_KAFKA__GROUP_ID": "group",
            "PROCESSOR_KAFKA__DEAD_LETTER_TOPIC": "letters",
            "PROCESSOR_FULLSTORY__API_KEY": "na1.architect",
            "PROCESSOR_FULLSTORY__BASE_URL": server.url,
        }
        with worker(settings, tmp_path / "log", tmp_path, program) as running:
            wait_until(lambda: running.ready() != {}, "the worker answers")
            pages = [ask(f"http://{running.address}/").decode(), ask(f"{server.url}/").decode()]

    for page in pages:
        assert "<!doctype html>" in page.lower()
        assert "<style" in page
        assert "<script" in page


def test_the_sdist_builds_the_same_wheel(packages: Path, tmp_path: Path) -> None:
    """The sdist builds the same wheel, byte for byte."""
    (wheel,), (sdist,) = packages.glob("*.whl"), packages.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / f"segment_fullstory-{__version__}"
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, folder=source)

    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()
    assert {"Makefile", "requirements-run.lock", "deploy", "tests"} <= {each.name for each in source.iterdir()}


def test_the_packed_chart_makes_what_the_chart_makes(tmp_path: Path) -> None:
    """The packed chart renders the same as the chart, linked rules and dashboards included."""
    need(missing())
    make("dist-chart", tmp_path)
    values = {**LEAST, "dashboards": {"enabled": True}, "prometheusRule": {"enabled": True}}
    packed = tmp_path / f"segment-fullstory-{__version__}.tgz"

    assert rendered(values, tmp_path, "1.30.0", packed) == rendered(values, tmp_path, "1.30.0")


# The image


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    """Give an environment in which buildah keeps its images in a folder of our own and needs no daemon."""
    demand("buildah", "debootstrap")
    need(None if os.geteuid() == 0 else "this takes root, who alone makes a root of Debian")
    with tempfile.TemporaryDirectory(prefix="images-") as folder:
        configuration = Path(folder, "storage.conf")
        configuration.write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n', encoding="utf-8"
        )
        yield {
            **{name: value for name, value in BARE.items() if name != "DOCKER_HOST"},
            "CONTAINERS_STORAGE_CONF": str(configuration),
            "BUILDAH_ISOLATION": "chroot",
        }


@pytest.fixture(scope="module")
def base(store: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the name of an image like `python:3.13-slim`, made of Debian's own Python with its headers."""
    index = tmp_path_factory.mktemp("index")
    root = run(ROOT / ".ci" / "root", "trixie").strip()
    variables = run(sys.executable, ROOT / ".ci" / "index.py", index).splitlines()
    container = run("buildah", "from", "scratch", environment=store).strip()
    run("buildah", "add", container, root, "/", environment=store)
    run("buildah", "add", container, index, "/", environment=store)
    run("buildah", "run", container, "--", "ln", "-s", "python3", "/usr/bin/python", environment=store)
    for variable in variables:
        run("buildah", "config", "--env", variable, container, environment=store)
    for step in ("update", "install --yes --no-install-recommends python3-dev"):
        run("buildah", "run", container, "--", "sh", "-c", f"apt-get -qq {step}", environment=store)
    run("buildah", "commit", "--rm", container, "localhost/python", environment=store)
    return "localhost/python"


@pytest.mark.timeout(900)
def test_the_image_is_built_and_runs(store: Mapping[str, str], base: str) -> None:
    """The Dockerfile is built by buildah into an archive for docker, and its program runs as nobody."""
    folder = Path(store["CONTAINERS_STORAGE_CONF"]).parent
    make("dist-image", folder, environment=store, BUILDER="buildah", PYTHON_IMAGE=base)
    archive = folder / "segment-fullstory-image.tar"
    with tarfile.open(archive) as image:
        (about,) = _json(image, "manifest.json")
        config = _json(image, about["Config"])["config"]

    assert {tag.rpartition("/")[2] for tag in about["RepoTags"]} == {f"segment-fullstory:{__version__}"}
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["segment-fullstory"]
    assert "/livez" in config["Healthcheck"]["Test"][-1]
    run("buildah", "rmi", "--all", "--force", environment=store)
    container = run("buildah", "from", f"docker-archive:{archive}", environment=store).strip()
    inside = ["buildah", "run", container, "--"]
    assert f"{__version__}, compiled" in run(*inside, "segment-fullstory", "--version", environment=store)
    assert run(*inside, "id", "-u", environment=store).strip() == "10001"
    tools = "command -v pip hatchling gcc mypy || echo none"
    assert run(*inside, "sh", "-c", tools, environment=store).strip() == "none"


def _json(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.extractfile(name)
    assert member is not None
    return json.load(member)
