"""The platform's end of the bridge: starts the process in which Ray runs, and starts it again when it has ended."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bananastand.platform.environment import inherited
from bananastand.platform.store.private_files import open_private

from .wire import Message, MessageStream

__all__ = ["Bridge"]

log = logging.getLogger("bananastand.cluster")

RETRY, MAX_RETRY = 0.5, 10.0  # seconds until a bridge that has ended is started again
SILENCE = 15.0  # seconds without a message after which the process counts as frozen
STABLE = 30.0  # seconds of connection after which the next attempt follows at once
END_TIMEOUT = 10.0  # seconds for the process to end its keepers and itself
MODULE = "bananastand.cluster.bridge_process"


class Bridge:
    """The process in which Ray runs, for as long as the platform does.

    Args:
        options: What the process has to know, see `RayNodes`.
        environment: Ray's variables, beside those that programs of the platform inherit.
        on_message: Called with each message of the process.
        on_lost: Called when the process has ended, or is given up.
        log_file: Takes what the process prints, which is Ray's and not for users of the platform.

    Attributes:
        is_connected: Whether it is connected to the cluster.
        problem: Why it is not, in words.
        is_hopeless: Whether no other attempt helps.
        changed: Set whenever one of these has changed.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        environment: Mapping[str, str],
        on_message: Callable[[Message], None],
        on_lost: Callable[[], None],
        log_file: Path,
    ) -> None:
        self._options, self._on_message, self._on_lost = options, on_message, on_lost
        self._log_file = log_file
        quiet = {
            "RAY_BACKEND_LOG_LEVEL": "error"
        }  # what matters of Ray's warnings is a problem in the platform's words
        self._environment = {**inherited(os.environ, "RAY_", "PYTHON"), **quiet, **environment}
        self.is_connected = self.is_hopeless = False
        self.problem: str | None = None
        self.changed = asyncio.Event()
        self.pid: int | None = None
        self._stream: MessageStream | None = None
        self._life: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._life = asyncio.create_task(self._live(), name="bridge")

    def send(self, kind: str, **fields: Any) -> None:
        """Send a message; it is dropped while the process is not connected."""
        if self._stream is not None and self.is_connected:
            self._stream.send(kind, **fields)

    async def close(self) -> None:
        """End the process, and what it has started on nodes."""
        stream, self.is_hopeless = self._stream, True
        if stream is not None:
            stream.send("close")
        if self._life is not None:
            await asyncio.wait({self._life}, timeout=END_TIMEOUT)
            self._life.cancel()
            await asyncio.wait({self._life})

    async def _live(self) -> None:
        pause = RETRY
        while not self.is_hopeless:
            connected_at: float | None = None
            try:
                connected_at = await self._run_once()
            except OSError as error:
                self._set_problem(f"the bridge cannot be started: {error}")
            except ValueError as error:
                self._set_problem(f"the bridge has sent what is no message: {error}")
            if connected_at is not None and time.monotonic() - connected_at > STABLE:
                pause = RETRY
            if self.is_hopeless:
                return
            await asyncio.sleep(pause)
            pause = min(MAX_RETRY, pause * 2)

    async def _run_once(self) -> float | None:
        """Run the process to its end; returns when it was connected, if it was."""
        ours, theirs = socket.socketpair()
        command = (sys.executable, "-m", MODULE, json.dumps(theirs.fileno()))
        try:
            with open(self._log_file, "wb", opener=open_private) as output:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    env=self._environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid, connected_at = process.pid, None
        stream = self._stream = MessageStream(*await asyncio.open_connection(sock=ours))
        stream.send("options", **self._options)
        try:
            while (message := await _receive(stream)) is not None:
                if message["kind"] == "connected":
                    connected_at, self.is_connected = time.monotonic(), True
                    self._set_problem(None)
                elif message["kind"] == "problem":
                    self.is_hopeless = message["is_fatal"]
                    self._set_problem(message["text"])
                elif message["kind"] != "alive":
                    self._deliver(message)
            if connected_at is not None and not self.is_hopeless:
                self._set_problem("the cluster's head was lost")
        except TimeoutError:
            self._set_problem(f"the bridge is frozen: it has said nothing for {SILENCE:g} s")
        finally:
            self.is_connected, self._stream = False, None
            stream.close()
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)  # process.kill() would reap it, unseen by asyncio
            self._on_lost()
            self.changed.set()
            await asyncio.shield(process.wait())
        return connected_at

    def _deliver(self, message: Message) -> None:
        try:
            self._on_message(message)
        except Exception:  # what one node has reported must not end the bridge, and with it all others
            log.exception("cluster: a message of kind %.40s is dropped", message["kind"])

    def _set_problem(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            log.warning("cluster: %s", problem)
        self.problem = problem
        self.changed.set()


async def _receive(stream: MessageStream) -> Message | None:
    async with asyncio.timeout(SILENCE):
        return await stream.receive()
