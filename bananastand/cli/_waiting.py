"""Shows in a terminal why a call waits: it is queued, a replica starts, or it runs."""

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

PAUSE = 0.5  # seconds between two checks
MAX_LINE = 50  # characters of a replica's line


@contextlib.contextmanager
def waiting(platform: PlatformClient, project: str) -> Generator[Callable[[], None]]:
    """Show the progress of a call on standard error, if that is a terminal.

    Args:
        platform: Client that makes the call.
        project: Project that is called.

    Yields:
        A function that ends the display early, for a response that is printed while it arrives.
    """
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda: None
        return
    over = threading.Event()
    with working(console) as progress:
        task = progress.add_task("sending the call")

        def watch() -> None:
            from bananastand.clients.platform import PlatformClient, PlatformClientError

            with PlatformClient(platform.url, platform.key) as observer:  # the call holds the other connection
                while not over.wait(PAUSE):
                    with contextlib.suppress(PlatformClientError):
                        row = observer.get(f"/projects/{project}")
                        starting = not row.get("ready")
                        last = next(iter(observer.lines(f"/projects/{project}/logs", last=1)), {}) if starting else {}
                        progress.update(task, description=describe(row, str(last.get("line", ""))))

        watcher = threading.Thread(target=watch, daemon=True)
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
    """Return what a call of a project waits for, in words.

    Args:
        project: The project, as the platform's API returns it.
        last_line: The last line that its replicas printed.
    """
    if project.get("problem") and not project.get("ready"):
        return f"the app does not start: {plain(str(project['problem']))}"
    if not project.get("deployment"):
        return "waiting for the build"
    if not project.get("ready"):
        line = plain(last_line).strip()[:MAX_LINE]
        return f"starting a replica{': ' if line else ''}{line}" if project.get("replicas") else "queued"
    if project.get("running"):
        return f"running{_others(project)}"
    return "queued"


def _others(project: dict[str, Any]) -> str:
    queued = int(project.get("queued") or 0)
    return f", {queued} more in the queue" if queued else ""
