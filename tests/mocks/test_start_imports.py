"""What the mocks load before their first request: a test suite pays for it in every run."""

from __future__ import annotations

import subprocess
import sys

SLOW = ("torch", "fastapi", "starlette", "matplotlib", "PIL", "jinja2", "pypdf", "sqlite3", "rich.progress", "httpx2")
START = """
import sys
import bananastand_mocks
imported = len([name for name in sys.modules if name.startswith("bananastand_mocks.")])
from bananastand.cli import mocks
from bananastand_mocks.server import Server
Server()
print(imported, *(name for name in {slow} if name in sys.modules))
"""


def test_the_mocks_start_without_what_no_call_needs() -> None:
    program = [sys.executable, "-c", START.format(slow=SLOW)]
    loaded = subprocess.run(program, capture_output=True, text=True, check=True, timeout=120)

    assert loaded.stdout.split() == ["0"]


def test_the_command_loads_recordings_only_for_a_recording() -> None:
    command = [sys.executable, "-X", "importtime", "-c", "from bananastand.cli import main; main()"]
    with subprocess.Popen(
        [*command, "mocks", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Bananastand mocks at")
        process.terminate()
        _, imports = process.communicate(timeout=60)

    assert "bananastand_mocks.server" in imports
    assert "bananastand_mocks.cassettes" not in imports
    assert "httpx2" not in imports
