"""What the mocks load before their first request: a test suite pays for it in every run."""

from __future__ import annotations

import subprocess
import sys

SLOW = ("torch", "fastapi", "starlette", "matplotlib", "PIL", "jinja2", "pypdf", "sqlite3", "rich.progress")
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
