"""A platform on SQLite knows nothing of fronts."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from pathlib import Path
from bananastand.cli import _platform_server, up
from bananastand.platform.platform import Platform
from bananastand.platform.settings import Settings

platform = Platform(Settings(Path(sys.argv[1])), None)
heavy = ("psycopg", "psycopg_pool", "greenlet", "ray", "fsspec", "bananastand.platform.fronts.front")
print([name for name in heavy if name in sys.modules])
"""


def test_the_default_path_imports_no_driver_of_postgresql(tmp_path: object) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=60)

    assert done.stdout.strip() == "[]", done.stderr
