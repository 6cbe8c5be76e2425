"""The README's example is what the worker makes of that message."""

import json
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
EXAMPLE = re.compile(r"```json\n(?P<message>.+?)```.+?```\nPOST (?P<path>\S+)\n.*?\n\n(?P<body>.+?)```", re.DOTALL)


def test_the_message_becomes_that_request(tmp_path: Path) -> None:
    """`explain`, which the README names beside it, shows the same endpoint and, byte for byte, the same body."""
    found = EXAMPLE.search(README.read_text(encoding="utf-8"))
    assert found is not None
    file = tmp_path / "message.json"
    file.write_text(json.dumps(json.loads(found["message"])), encoding="utf-8")
    command = [sys.executable, "-m", "processor", "explain", "--format", "json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=README.parent)
    (request,) = json.loads(done.stdout)["requests"]

    assert request["path"] == found["path"]
    assert json.dumps(request["body"], separators=(",", ":")) == re.sub(r"\n *", "", found["body"])
