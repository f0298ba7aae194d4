"""`bananastand demo`: the app of this folder, started, with a first picture painted by it."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ._ends import USAGE, fail

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["demo"]

FIRST = {"prompt": "two small red apples on a blue background", "seed": 7}
NEXT = {"prompt": "a large yellow banana on a purple background", "seed": 1}


def demo(
    app: Annotated[Path, typer.Argument(help="The Potassium app to start.")] = Path("app.py"),
    port: Annotated[int, typer.Option(envvar="PORT", min=1, max=65535, help="Where it listens.")] = 8000,
    folder: Annotated[Path, typer.Option(help="Where the first picture goes.")] = Path("out"),
) -> None:
    """Start app.py, have it paint a first picture, and stay until Ctrl-C.

    This is what [bold]make run[/bold] does.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if not app.is_file():
        fail(f"there is no {app} here; run this in a checkout of the repository", USAGE)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            fail(f"port {port} is taken; choose another: PORT={port + 1} make run", USAGE)
    signal.signal(signal.SIGTERM, _interrupt)
    server = subprocess.Popen(
        [sys.executable, str(app)],
        env={**os.environ, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    threading.Thread(target=_relay, args=(server, console), daemon=True).start()
    try:
        with console.status(f"starting {app} (importing torch and loading the model takes some seconds)"):
            _wait_until_it_listens(server, port)
        url = f"http://127.0.0.1:{port}"
        picture = _first_picture(console, url, folder)
        console.print(f"\n[bold green]The first picture is {picture}[/bold green]   ({FIRST['prompt']})")
        console.print(f"The app answers at {url}/ until Ctrl-C. The next picture:\n")
        console.print(_curl(url), markup=False, soft_wrap=True)
        console.print()
        server.wait()
        fail(f"{app} ended with status {server.returncode}")
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        _stop(server)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: a second would interrupt the stopping
    raise KeyboardInterrupt


def _relay(server: subprocess.Popen[str], console: Console) -> None:
    """Show the app's own lines above the progress bar."""
    assert server.stdout is not None
    for line in server.stdout:
        console.print(line.rstrip(), style="dim", markup=False, soft_wrap=True)


def _wait_until_it_listens(server: subprocess.Popen[str], port: int) -> None:
    while server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    time.sleep(0.2)  # its last words
    fail(f"the app did not start (status {server.returncode}); its last lines say why")


def _first_picture(console: Console, url: str, folder: Path) -> Path:
    from bananastand.clients.potassium import AppError, PotassiumApp

    from ._progress import painting, show

    answer: dict[str, Any] = {}
    try:
        with PotassiumApp(url) as app, painting(console) as progress:
            task = progress.add_task("painting", total=None)
            for event in app.stream(FIRST):
                if event.name == "step":
                    show(progress, task, event.data, images=1)
                elif event.name == "result":
                    answer = event.data
    except AppError as error:
        fail(f"the first picture failed: {error}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "first-picture.png"
    path.write_bytes(base64.b64decode(answer["output"]))
    return path


def _curl(url: str) -> str:
    return (
        f"curl -s -X POST {url}/ -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(NEXT))} "
        """| python3 -c 'import base64, json, sys; open("next.png", "wb").write("""
        """base64.b64decode(json.load(sys.stdin)["output"]))'"""
    )


def _stop(server: subprocess.Popen[str]) -> None:
    if server.poll() is not None:
        return
    server.terminate()
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
