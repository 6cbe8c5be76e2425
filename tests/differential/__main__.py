"""Records Segment's destination anew: what `python -m tests.differential FOLDER` writes is committed.

FOLDER is where npm installs the package, by the package.json beside this file. Node and npm are needed, and the package
index of npm; the tests need neither.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests import npm
from tests.differential.inputs import messages

HERE = Path(__file__).parent


def record(folder: Path) -> str:
    """Install the package and return the messages with the requests that it makes of them, a line for each."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "package.json", folder)
    npm.install(folder)
    given = "".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages())
    recorder = ["node", str(HERE / "record.cjs"), str(folder)]
    return subprocess.run(recorder, input=given, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    (HERE / "recorded.jsonl").write_text(record(Path(sys.argv[1])), encoding="utf-8")
