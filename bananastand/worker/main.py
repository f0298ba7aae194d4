"""The worker as a program: `python main.py OPTIONS -- FILE.py ARGUMENTS...`, in the app's own interpreter.

--control FD    a stream socket of frames (`session`)
--concurrency N handlers at once; 0, the default, for what the app declares
--move 1        move listening sockets in Python, where the system does not
--fork-server FD  a socket of packets: fork workers instead of being one (`fork_server`)
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys

__all__ = ["main"]

NAME = "bananastand_worker"  # on no path: the app may have a package called bananastand or worker


def _load() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0] or ".") == folder:
        sys.path.pop(0)
    spec = importlib.util.spec_from_file_location(
        NAME, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = package
    spec.loader.exec_module(package)


def main() -> int:
    """Read the options, and be a worker or a fork server."""
    at = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, program = sys.argv[1:at], sys.argv[at + 1 :]
    named = dict(zip(options[::2], options[1::2]))
    _load()
    if "--fork-server" in named:
        from bananastand_worker.fork_server import run_fork_server  # type: ignore[import-not-found]

        packets = socket.socket(fileno=int(named["--fork-server"]))
        return int(run_fork_server(packets))
    from bananastand_worker.start import run_worker  # type: ignore[import-not-found]

    connection = socket.socket(fileno=int(named["--control"]))
    concurrency = int(named.get("--concurrency", "0"))
    return int(run_worker(program, connection, concurrency=concurrency, move="--move" in named))


if __name__ == "__main__":
    sys.exit(main())
