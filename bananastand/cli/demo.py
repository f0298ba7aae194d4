"""`bananastand demo`: the platform with the app of a folder on it, and a first picture of that app."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from ._ends import USAGE, fail

__all__ = ["demo"]

FIRST = {"prompt": "two small red apples on a blue background", "seed": 7}
NEXT = {"prompt": "a large yellow banana on a purple background", "seed": 1}
BANANASTAND = [sys.executable, "-u", "-m", "bananastand"]


def demo(
    source: Annotated[Path, typer.Argument(help="The Banana repository to deploy.")] = Path(),
    name: Annotated[str, typer.Option(help="The project's name.")] = "bananastand",
    port: Annotated[
        int, typer.Option(envvar="PORT", min=1, max=65535, help="Where the app answers, without a key.")
    ] = 8000,
    stand_port: Annotated[
        int, typer.Option(envvar="STAND_PORT", min=1, max=65535, help="Where the platform listens.")
    ] = 8750,
    folder: Annotated[Path, typer.Option(help="Where the first picture goes.")] = Path("out"),
) -> None:
    """Start the platform, deploy this folder, paint a first picture, and stay until Ctrl-C.

    This is what [bold]make run[/bold] does; by hand it is [bold]up[/bold], [bold]deploy[/bold] and [bold]run[/bold].
    A model named by MODEL is deployed as such.
    """
    if not (source / "app.py").is_file():
        fail(f"there is no {source / 'app.py'}; run this in a checkout of the repository", USAGE)
    for number, setting in ((port, "PORT"), (stand_port, "STAND_PORT")):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", number)) == 0:
                fail(f"port {number} is taken; choose another: {setting}={number + 1} make run", USAGE)
    signal.signal(signal.SIGTERM, _interrupt)
    root = str(source.resolve())
    process = subprocess.Popen(
        [*BANANASTAND, "up", "--port", str(stand_port), "--front", f"{port}={name}", "--root", root],
        start_new_session=True,
    )
    try:
        _wait_until_it_answers(process, stand_port)
        picture = folder / "first-picture.png"
        folder.mkdir(parents=True, exist_ok=True)
        typer.secho(f"\n$ bananastand deploy {source} --name {name} --builder process", bold=True)
        model = ["--env", f"MODEL={os.environ['MODEL']}"] if os.environ.get("MODEL") else []
        _run("deploy", str(source), "--name", name, "--builder", "process", *model)
        inputs = [word for key, value in FIRST.items() for word in ("-i", f"{key}={value}")]
        typer.secho(f"$ {shlex.join(['bananastand', 'run', name, *inputs, '-o', str(picture)])}", bold=True)
        _run("run", name, *inputs, "-o", str(picture))
        typer.secho(f"\nThe first picture is {picture}", fg=typer.colors.GREEN, bold=True)
        typer.echo(
            f"The app answers at http://127.0.0.1:{port}/ until Ctrl-C; its status page is "
            f"http://127.0.0.1:{stand_port}/, and bananastand ps lists what runs. The next picture:\n\n{_curl(port)}\n"
        )
        process.wait()
        fail(f"the platform ended with status {process.returncode}")
    except KeyboardInterrupt:
        pass
    finally:
        _stop(process)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal would interrupt the shutdown
    raise KeyboardInterrupt


def _run(*words: str) -> None:
    """Run a bananastand command as a user would; end the program if it fails."""
    status = subprocess.run([*BANANASTAND, *words], check=False).returncode
    if status:
        raise typer.Exit(status)


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int) -> None:
    from urllib.request import urlopen

    while process.poll() is None:
        with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return
        time.sleep(0.05)
    raise typer.Exit(process.returncode or 1)  # it has printed the reason


def _curl(port: int) -> str:
    return (
        f"curl -s -X POST http://127.0.0.1:{port}/ -H 'Content-Type: application/json' "
        f"-d {shlex.quote(json.dumps(NEXT))} "
        """| python3 -c 'import base64, json, sys; open("next.png", "wb").write("""
        """base64.b64decode(json.load(sys.stdin)["output"]))'"""
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the platform as Ctrl-C would. It has a session of its own, so Ctrl-C does not reach it or its replicas."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
    if process.poll() is None:
        process.kill()
        process.wait()
