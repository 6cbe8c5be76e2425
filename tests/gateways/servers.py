"""The servers that stand between a worker and FullStory, each run in the foreground as a child process on loopback.

The files of `config/` are what docs/gateways.md recommends, with FullStory's own address. A test runs such a file with
the sandbox's address in its place, and with the one change that makes the fault it is about.
"""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from tests.kafka.cluster import free_port
from tests.kafka.programs import wait_until
from tests.needs import need

CONFIG = Path(__file__).with_name("config")
LISTENS_AT = "8081"
START_S = 20.0
STOP_S = 10.0

Changes = Mapping[str, str]
"""Texts of a configuration, and what stands there instead."""


@final
@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server: how it is found and started, and what its configuration needs around itself."""

    program: str
    file: str
    arguments: str
    """`{config}` is the configuration file, `{folder}` a folder of its own."""
    around: str = "{own}"
    """`{own}` is the recommended configuration."""
    upstream: tuple[str, str] = (r"https://api\.fullstory\.com", "http://{upstream}")
    """How the configuration names FullStory, and how it names a server without TLS."""


NGINX = """\
user root;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{own}
}}
"""
"""Below Debian's own folders it would need to be root."""

APACHE = """\
{modules}
ServerName localhost
ServerRoot {folder}
PidFile {folder}/pid
ErrorLog {folder}/error.log
User www-data
Group www-data
StartServers 1
Include /etc/modsecurity/modsecurity.conf-recommended
SecAuditEngine Off
SecTmpDir /tmp
SecDataDir /tmp
IncludeOptional /etc/modsecurity/crs/crs-setup.conf
IncludeOptional /usr/share/modsecurity-crs/rules/*.conf
{own}
"""
APACHE_MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http", "socache_shmcb", "ssl", "unique_id", "security2")

SQUID = """\
{own}
pid_filename none
cache_log /dev/null
access_log none
coredump_dir none
shutdown_lifetime 0 seconds
pinger_enable off
"""

CADDY = """\
{{
    admin off
    auto_https off
}}
{own}
"""

CADDY_ARGUMENTS = "run --config {config} --adapter caddyfile"

KINDS: Mapping[str, Kind] = {
    "nginx": Kind("nginx", "nginx.conf", "-p {folder} -e stderr -c {config} -g daemon\\ off;", NGINX),
    "haproxy": Kind(
        "haproxy",
        "haproxy.cfg",
        "-db -f {config}",
        upstream=(r"api\.fullstory\.com:443 .*", "{upstream}"),
    ),
    "apache": Kind("apache2", "apache.conf", "-D FOREGROUND -f {config}", APACHE),
    "squid": Kind(
        "squid",
        "squid.conf",
        "-N -d 1 -n {name} -f {config}",
        SQUID,
        (r"api\.fullstory\.com parent 443 (.*) tls", r"{host} parent {port} \1"),
    ),
    "caddy": Kind("caddy", "Caddyfile", CADDY_ARGUMENTS, CADDY),
    "caddy-2.6": Kind("/usr/bin/caddy", "Caddyfile", CADDY_ARGUMENTS, CADDY),
    "envoy": Kind(
        "envoy",
        "envoy.yaml",
        "--config-path {config} --concurrency 1 --disable-hot-restart --log-level warning",
        upstream=(
            r"address: api\.fullstory\.com, port_value: 443((?s:.*?))      transport_socket:(?s:.*)",
            r"address: {host}, port_value: {port}\1",
        ),
    ),
}


def recommended(kind: str) -> str:
    """Return the configuration that docs/gateways.md recommends."""
    return (CONFIG / KINDS[kind].file).read_text(encoding="utf-8")


def changed(text: str, changes: Changes) -> str:
    """Return a configuration with changes, each of which has its place."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the configuration"
        text = text.replace(old, new)
    return text


@final
@dataclass(slots=True)
class Gateway:
    """A server that runs while it is entered; its port and its folder stay the same when it starts again.

    `upstream` is where it finds FullStory: host and port.
    """

    kind: str
    folder: Path
    upstream: str
    changes: Changes = field(default_factory=dict)
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Where the worker finds it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def flag(self) -> Path:
        """A file that a changed configuration may ask for, as `FLAG`."""
        return self.folder / "flag"

    def access_log(self) -> list[str]:
        """Return the lines of its access log."""
        return (self.folder / "access.log").read_text(encoding="utf-8").splitlines()

    @contextmanager
    def running(self, changes: Changes | None = None) -> Iterator[None]:
        """Run it; other `changes` stand for this time instead of its own."""
        config = self._write(self.changes if changes is None else changes)
        server = KINDS[self.kind]
        words = server.arguments.replace("\\ ", "\0").split()
        arguments = [
            each.replace("\0", " ").format(config=config, folder=self.folder, name=f"worker{self.port}")
            for each in words
        ]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [program(server.program), *arguments], stdout=log, stderr=log, cwd=self.folder, env=self._environment
            )
        try:
            wait_until(lambda: process.poll() is not None or self._listens(), f"{self.kind} listens", START_S, 0.02)
            assert process.poll() is None, (self.folder / "log").read_text(encoding="utf-8")
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _write(self, changes: Changes) -> Path:
        self.folder.mkdir(exist_ok=True)
        server = KINDS[self.kind]
        host, _, port = self.upstream.partition(":")
        found, instead = server.upstream
        own = changed(recommended(self.kind), changes).replace(LISTENS_AT, str(self.port))
        own = re.sub(found, instead.format(upstream=self.upstream, host=host, port=port), own)
        assert "api.fullstory.com:443" not in own
        own = own.replace("FLAG", str(self.flag)).replace("UPSTREAM", self.upstream)
        modules = "\n".join(
            f"LoadModule {each}_module /usr/lib/apache2/modules/mod_{each}.so" for each in APACHE_MODULES
        )
        config = self.folder / server.file
        config.write_text(server.around.format(own=own, folder=self.folder, modules=modules), encoding="utf-8")
        return config

    @property
    def _environment(self) -> dict[str, str]:
        """Let what a server keeps of its own be kept here: Caddy would write into the home of whoever runs it."""
        return {**os.environ, "XDG_CONFIG_HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)}

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def program(name: str) -> str:
    """Return where a server's program is; skip, or fail, where there is none.

    Envoy and Caddy come from Python packages, into this environment; servers of Debian may be where only root looks.
    """
    if name == "envoy" and (spec := importlib.util.find_spec("envoy")) and spec.submodule_search_locations:
        return str(Path(spec.submodule_search_locations[0]) / "_bin" / "envoy")
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=places)
    if found is None:
        need(f"{name} is not installed")
        raise AssertionError
    return found
