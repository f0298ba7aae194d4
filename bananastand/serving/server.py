"""Runs the host on uvicorn: listens first, loads the app, stops gracefully."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
import traceback
from types import FrameType
from typing import Any

import uvicorn

from ..asgi.connection_limiter import ConnectionLimiter
from ..asgi.limits import ConnectionLimits
from ..asgi.listening import listen
from ..asgi.protocol import ServerConfig
from ..asgi.refusals import Refusal
from ..worker.handlers import Handlers
from ..worker.potassium_app import PotassiumApp
from ..worker.target import TargetError, run_target
from . import wire
from .host import Host
from .options import Options

__all__ = ["serve"]


def serve(target: str, options: Options | None = None) -> int:
    """Host the app at `target` ("module:name" or "file.py") until SIGTERM or Ctrl-C; returns the exit status.

    To be called on the main thread: the app is imported here, while another thread answers that it is loading.
    """
    options = options or Options()
    try:
        listener = listen(options.host, options.port, backlog=None)
    except OSError as error:
        _say(f"cannot listen on {options.host}:{options.port}: {error.strerror}")
        return 1
    host, stop = Host(options), threading.Event()
    server = uvicorn.Server(
        ServerConfig(
            host,
            limiter=ConnectionLimiter(
                ConnectionLimits(body_window=options.body_timeout), name="the server", raise_files=True
            ),
            dialect=_worded,
            reserved=("/healthz", "/readyz", "/ping", "/metrics", "/_k/status", "/__status__"),
            lifespan="off",
            log_config=None,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="server", daemon=True)
    thread.start()
    _say(f"listening on http://{options.host}:{listener.getsockname()[1]}, loading {target}")
    stopper = _Stopper(stop)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopper)

    def host_app(app: Any) -> None:
        imported = time.perf_counter() - started
        ready = _load(host, app, options)
        stopper.loaded = True
        _say(f"{ready}; importing it took {imported:.2f} s")
        stop.wait()
        _drain(host, options.drain)

    host.stage = f"importing {target}"
    started = time.perf_counter()
    status = 0
    try:
        run_target([target], host_app)
    except TargetError as error:
        _say(f"cannot start: {error}")
        status = 2
    except _InitFailed:
        status = 1
    except KeyboardInterrupt:
        status = 130
    except Exception:
        traceback.print_exc()
        _say(f"cannot start: {target} failed, see above")
        status = 1
    server.should_exit = True
    thread.join(5)
    if status:
        sys.stdout.flush()
        os._exit(status)  # a failed app may have left threads that would keep the process
    return 0


def _worded(refusal: Refusal) -> tuple[str, bytes]:
    """A refusal in the shape that the app's own errors have."""
    return "application/json", wire.error(refusal.status, refusal.code, refusal.message).body


class _InitFailed(Exception):
    """init() raised; its traceback is in the log."""


class _Stopper:
    """The first signal stops gracefully, the second at once. While the app still loads, the first stops at once."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop, self._asked = stop, False
        self.loaded = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._asked or not self.loaded:
            os._exit(128 + number)
        self._asked = True
        self._stop.set()


def _load(host: Host, app: Any, options: Options) -> str:
    """Run init() and open the app's routes; returns what to say of it."""
    host.stage = "running init()"
    started = time.perf_counter()
    adapter = PotassiumApp(app)
    workers = Handlers(adapter, options.concurrency or adapter.concurrency)
    try:
        workers.start()
    except BaseException as error:
        traceback.print_exception(error)
        _say(f"cannot start: init() failed: {' '.join(str(error).split()) or type(error).__name__}")
        raise _InitFailed from error
    _freeze()
    host.use(adapter, workers)
    at_once = f"{workers.count} at once" if workers.count > 1 else "one at a time"
    return f"ready after {time.perf_counter() - started:.1f} s of init(); requests run {at_once}"


def _freeze() -> None:
    """What init() has made stays: looking through all of it took 0.2 s, in the middle of some request.

    The second collection, of nothing, is what Python measures later ones by: they come after a quarter as much is new.
    """
    gc.collect()
    gc.freeze()
    gc.collect()


def _drain(host: Host, seconds: float) -> None:
    """Refuse what is new and let finish what runs, for so many seconds; then call the rest off."""
    host.draining = True
    _say("stopping")
    for limit, reason in ((seconds, "the server is stopping"), (5.0, "")):
        until = time.monotonic() + limit
        while not host.idle and time.monotonic() < until:
            time.sleep(0.02)
        if host.idle:
            return
        if reason:
            _say(f"not done after {seconds:g} s: calling off what still runs")
            host.call_off(reason)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
