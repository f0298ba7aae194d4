"""What a terminal shows while a call waits: queued, a replica starts (with its last line), or it runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from bananastand.platform.store.logs import plain

from ._progress import working

if TYPE_CHECKING:
    from bananastand.clients.platform import PlatformClient

__all__ = ["describe", "waiting"]

PAUSE = 0.5  # seconds between two looks
LONGEST = 50  # characters of a replica's line


@contextlib.contextmanager
def waiting(stand: PlatformClient, project: str) -> Generator[Callable[[], None]]:
    """Show on standard error how a call of the project comes along; nothing where that is no terminal.

    Yields a function that ends this before the block does, for an answer that is printed as it comes.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda: None
        return
    over = threading.Event()
    with working(console) as progress:
        task = progress.add_task("sending the call")

        def look() -> None:
            from bananastand.clients.platform import PlatformClient, PlatformClientError

            with PlatformClient(stand.url, stand.key) as own:  # a connection of its own: the call holds the other
                while not over.wait(PAUSE):
                    with contextlib.suppress(PlatformClientError):
                        row = own.get(f"/projects/{project}")
                        starting = not row.get("ready")
                        last = next(iter(own.lines(f"/projects/{project}/logs", last=1)), {}) if starting else {}
                        progress.update(task, description=describe(row, str(last.get("line", ""))))

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()

        def end() -> None:
            over.set()
            watcher.join()
            progress.stop()

        try:
            yield end
        finally:
            end()


def describe(project: dict[str, Any], last_line: str = "") -> str:
    """What a call of the project waits for, in words.

    Args:
        project: Its row in the platform's API.
        last_line: What its replicas printed last.
    """
    if project.get("problem") and not project.get("ready"):
        return f"the app does not start: {plain(str(project['problem']))}"
    if not project.get("deployment"):
        return "waiting for the build"
    if not project.get("ready"):
        line = plain(last_line).strip()[:LONGEST]
        return f"starting a replica{': ' if line else ''}{line}" if project.get("replicas") else "queued"
    if project.get("running"):
        return f"running{_others(project)}"
    return "queued"


def _others(project: dict[str, Any]) -> str:
    queued = int(project.get("queued") or 0)
    return f", {queued} more in the queue" if queued else ""
