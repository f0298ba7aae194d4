"""Options that `cluster init` and `join` share, and how their processes run in the foreground."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer

from ._ends import USAGE, fail

__all__ = ["Address", "Cpus", "FirstPort", "Gpus", "Label", "ObjectStore", "labels", "run_in_foreground", "say"]

Address = Annotated[
    str | None,
    typer.Option(help="The address by which the other machines reach this one; default: that of its network."),
]
Cpus = Annotated[int | None, typer.Option(min=0, help="CPUs that it gives to the cluster; default: all.")]
Gpus = Annotated[int | None, typer.Option(min=0, help="GPUs that it gives to the cluster; default: all.")]
Label = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE, which `bananastand scale --on` asks for, such as gpu=a100; may be repeated."),
]
FirstPort = Annotated[int, typer.Option(min=1024, max=65400, help="The first of the 110 ports of Ray's node.")]
ObjectStore = Annotated[
    int, typer.Option("--object-store", min=80, help="MiB of memory for builds on their way to a node.")
]
NAME = re.compile(r"[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")  # as Kubernetes has labels, and Ray with it


def labels(texts: list[str] | None) -> dict[str, str]:
    """Return the labels of the command line; a malformed one ends the program."""
    found = dict[str, str]()
    for text in texts or ():
        name, _, value = text.partition("=")
        if not NAME.fullmatch(name) or not NAME.fullmatch(value):
            fail(f"--label takes NAME=VALUE in letters, digits, - . and _, such as gpu=a100, not {text}", USAGE)
        found[name] = value
    return found


def say(line: str) -> None:
    """Print a line with the time, at once."""
    print(time.strftime("%H:%M:%S"), line, flush=True, file=sys.stdout)  # noqa: T201


def run_in_foreground(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a coroutine until SIGTERM or Ctrl-C. An error of the cluster ends the program with its reason."""
    from bananastand.cluster.credentials import CredentialsError

    async def run() -> None:
        task = asyncio.ensure_future(main())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await task

    try:
        asyncio.run(run())
    except asyncio.CancelledError:
        say("stopped")
    except CredentialsError as error:
        fail(str(error), USAGE)
    except OSError as error:
        fail(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
