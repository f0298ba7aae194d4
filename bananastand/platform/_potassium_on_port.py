"""Runs FILE.py on Potassium's own server, on the port that PORT names. A script that imports nothing of ours."""

import contextlib
import os
import resource
import runpy
import sys

from potassium import Potassium

original = Potassium.serve


def serve(self: Potassium, host: str = "", port: int = 0) -> None:
    """Potassium's, where this replica is to listen."""
    original(self, host=os.environ.get("HOST", "127.0.0.1"), port=int(os.environ["PORT"]))


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):  # Potassium's server leaves four files open for each request
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    Potassium.serve = serve  # type: ignore[method-assign]
    sys.argv = sys.argv[1:]
    sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))
    runpy.run_path(sys.argv[0], run_name="__main__")
