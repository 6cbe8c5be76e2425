"""Pages of docs/ as a reader follows them: their commands, from the top to the end, in the terminals that they name.

A block of `sh` is run; one that fails fails the page. Its first line may say otherwise, in words that readers see, too:

- `# Second terminal` (or another number): in a terminal of its own, where it goes on while the first one does;
- `# Second terminal: press Ctrl-C`: what runs there is interrupted, and has to end well;
- `# Not run by the tests: …`: it is not run, for the reason that follows.

A block of `text` right below is what the block shows: these lines, in this order, perhaps others between them. `…`
stands for anything.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, final

DEADLINE_S = 120.0
BASH = ["bash", "-euo", "pipefail"]
NOT_RUN = "# Not run by the tests: "

BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?", re.MULTILINE | re.DOTALL)
TERMINAL = re.compile(r"# (?P<name>Second|Third|Fourth) terminal(?P<interrupted>: press Ctrl-C)?\n")


@final
@dataclass(frozen=True, slots=True)
class Block:
    """Commands of a page, and what they show if the page says so."""

    commands: str
    shown: str | None

    @property
    def is_run(self) -> bool:
        """Say whether the tests run it."""
        return not self.commands.startswith(NOT_RUN)


def blocks(page: str) -> Iterator[Block]:
    """Iterate over the blocks of a page."""
    for found in BLOCK.finditer(page):
        yield Block(found["commands"], found["shown"])


def shows(output: str, expected: str) -> bool:
    """Say whether the output has the expected lines, in their order."""
    lines = (".*".join(map(re.escape, line.split("…"))) for line in expected.splitlines())
    return re.search("^" + r"$(?:\n.*)*?\n".join(lines) + "$", output, re.MULTILINE) is not None


@final
class Reader:
    """Somebody who follows a page; as a context manager it ends what still runs.

    The first terminal is one shell for the whole page, as it is on a desk: what one block exports, the next one has.
    """

    def __init__(self, desk: Path, environment: Mapping[str, str]) -> None:
        self._desk = desk
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("PROCESSOR_")}
        self._environment |= environment
        self._exports = desk / ".exports"
        self._exports.touch()
        self._terminals: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._terminals):
            self._end(name, signal.SIGKILL)

    def follow(self, page: str) -> None:
        """Run a page; raises `AssertionError` with the block that failed and what it said."""
        for block in blocks(page):
            if block.is_run:
                self._run(block)

    def _run(self, block: Block) -> None:
        terminal = TERMINAL.match(block.commands)
        if terminal is None:
            output = self._first(block.commands)
            assert block.shown is None or shows(output, block.shown), self._told(block.commands, output)
        elif terminal["interrupted"]:
            code = self._end(terminal["name"], signal.SIGINT)
            assert code == 0, self._told(block.commands, f"ended with {code}")
        else:
            assert block.shown is None, self._told(block.commands, "what another terminal shows is not looked at")
            self._open(terminal["name"], block.commands)

    def _first(self, commands: str) -> str:
        """Run commands in the first terminal; return what they said."""
        kept = f"export -p > {self._exports}; umask -p >> {self._exports}"
        script = f"cd {self._desk}; . {self._exports}\n{commands}\n{kept}"
        with subprocess.Popen(
            [*BASH, "-c", script],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                raise AssertionError(self._told(commands, f"{output}\nnot done within {DEADLINE_S:.0f} s")) from None
        assert process.returncode == 0, self._told(commands, f"{output}\nended with {process.returncode}")
        return output

    def _open(self, name: str, commands: str) -> None:
        """Let commands run in a terminal of their own."""
        assert name not in self._terminals, f"something runs in the {name.lower()} terminal already"
        with (self._desk / f"{name}.log").open("ab") as log:
            self._terminals[name] = subprocess.Popen(
                [*BASH, "-c", commands],
                env=self._environment,
                cwd=self._desk,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, name: str, by: signal.Signals) -> int:
        """Send a signal to what runs in a terminal, and return its exit code."""
        process = self._terminals.pop(name)
        os.killpg(process.pid, by)
        return process.wait(DEADLINE_S)

    def _told(self, commands: str, output: str) -> str:
        """Say what went wrong, and what the other terminals show."""
        logs = "".join(f"\n--- {log.stem} terminal\n{log.read_text()[-2_000:]}" for log in self._desk.glob("*.log"))
        return f"the page's commands\n\n{commands}\nsaid\n\n{output[-4_000:]}\n{logs}"
