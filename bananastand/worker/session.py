"""Serves a Potassium app over a socket of frames, for the platform, as `bananastand serve` does over HTTP.

From the worker: {"type": "app"} when the app calls serve(), {"type": "ready", routes, concurrency, potassium, python,
modules, seconds} after init(), {"type": "failed", stage, message} if that fails, and for each call
{"type": "started", call} (a background handler: answered before it runs), {"type": "head", call, status, headers} and
{"type": "chunk", call} with bodies (a stream), and {"type": "end", call, ...} with one of: status and headers (a whole
answer), error {id, message}, refused {code, message}, cancelled (reason), or nothing after a stream or a background
handler. {"type": "bound", ...} is `bind_patch`'s.

To the worker: {"type": "call", call, path, headers, timeout} with a body, {"type": "cancel", call, reason},
{"type": "ping"} (answered by {"type": "pong"}, by a thread that needs the interpreter but no handler), and
{"type": "stop"}.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import traceback
import uuid
from typing import Any

from . import cancellation, wire
from .frames import FrameSocket
from .handlers import CallListener, HandlerCall, Handlers, Stream
from .potassium_app import PotassiumApp, potassium_version

__all__ = ["WorkerSession", "imported_modules"]


class WorkerSession:
    """Serves one app on one socket.

    Args:
        frames: The socket.
        concurrency: Handlers at once; 0 for what the app declares.
        own_folder: The app's own folder, whose modules a fork server does not import; the working directory by default.
    """

    def __init__(self, frames: FrameSocket, *, concurrency: int = 0, own_folder: str = "") -> None:
        self._frames, self._concurrency = frames, concurrency
        self._own_folder = own_folder or os.getcwd()
        self._began = time.perf_counter()
        self._handlers: Any = None
        self._app: Any = None
        self._calls: dict[int, HandlerCall] = {}
        self._stopping = False

    def serve(self, app: Any) -> None:
        """Run init(), then handlers until the app is to stop. It must be called on the main thread."""
        imported = time.perf_counter()
        self._frames.send({"type": "app"})
        self._app = PotassiumApp(app)
        handlers = Handlers(self._app, self._concurrency or self._app.concurrency)
        try:
            handlers.start(on_this_thread=True)
        except BaseException as error:
            traceback.print_exception(type(error), error, error.__traceback__)
            self.fail("init()", error)
            sys.stdout.flush()
            os._exit(1)  # a failed init() may have left threads that would keep the process
        _freeze()
        self._handlers = handlers
        threading.Thread(target=self._listen, name="listener", daemon=True).start()
        self._frames.send(
            {
                "type": "ready",
                "routes": [[route.path, route.background] for route in self._app.routes.values()],
                "concurrency": handlers.count,
                "potassium": potassium_version(),
                "python": "{}.{}.{}".format(*sys.version_info[:3]),
                "modules": imported_modules(self._own_folder),
                "seconds": [round(imported - self._began, 3), round(time.perf_counter() - imported, 3)],
            }
        )
        handlers.work()

    def fail(self, stage: str, error: BaseException) -> None:
        """Report that a stage of the start failed."""
        text = " ".join(str(error).split())
        message = f"{type(error).__name__}: {text}" if text else type(error).__name__
        self._frames.send({"type": "failed", "stage": stage, "message": message})

    def _listen(self) -> None:
        while True:
            received = self._frames.receive()
            if received is None:  # the platform is gone
                os._exit(1)
            header, body = received
            kind = header["type"]
            if kind == "call":
                self._begin_call(header, body)
            elif kind == "cancel":
                call = self._calls.get(header["call"])
                if call is not None:
                    call.token.cancel(header["reason"])
            elif kind == "ping":
                self._frames.send({"type": "pong"})
            elif kind == "stop":
                self._handlers.stop()

    def _begin_call(self, header: dict[str, Any], body: bytes) -> None:
        number, route = header["call"], self._app.routes[header["path"]]
        headers: list[wire.Header] = [(name, value) for name, value in header["headers"]]
        listener = _Reporter(self, number)

        def run(context: Any) -> Any:
            request = self._app.request(headers, body)
            if route.background:
                self._frames.send({"type": "started", "call": number})
                route.function(context, request)
                return None
            output = route.function(context, request)
            status, named, content = self._app.response(output)
            return wire.WireResponse(status, content, named)

        call = HandlerCall(run, cancellation.new_token(header["timeout"]), listener)
        listener.call = call
        self._calls[number] = call
        self._handlers.submit(call)

    def finish(self, number: int, call: HandlerCall) -> None:
        """Report how a call ended."""
        self._calls.pop(number, None)
        end: dict[str, Any] = {"type": "end", "call": number}
        body = b""
        if call.error is not None:
            if isinstance(call.error, wire.BadRequest):
                end["refused"] = {"code": call.error.code, "message": str(call.error)}
            elif cancellation.is_cancelled(call.error):
                end["cancelled"] = str(call.error)
            else:
                id = uuid.uuid4().hex
                sys.stderr.write(f"error {id}\n{call.traceback}")
                text = " ".join(str(call.error).split())[:500]
                message = f"{type(call.error).__name__}: {text}"
                end["error"] = {"id": id, "message": message}
        elif call.stream is None and call.response is not None:
            end["status"], end["headers"], body = call.response.status, call.response.headers, call.response.body
        self._frames.send(end, body)

    def head(self, number: int, response: wire.WireResponse) -> None:
        """Report the head of a stream."""
        self._frames.send({"type": "head", "call": number, "status": response.status, "headers": response.headers})

    def chunk(self, number: int, stream: Stream) -> None:
        """Send a chunk of a stream. The socket itself slows down a stream that is faster than its reader."""
        piece = stream.chunks.get()
        stream.room.release()
        if piece:
            self._frames.send({"type": "chunk", "call": number}, piece)


class _Reporter(CallListener):
    def __init__(self, session: WorkerSession, number: int) -> None:
        self._session, self._number = session, number
        self.call: Any = None

    def answered(self) -> None:
        self._session.head(self._number, self.call.response)

    def chunk(self) -> None:
        self._session.chunk(self._number, self.call.stream)

    def ended(self) -> None:
        call, self.call = self.call, None
        self._session.finish(self._number, call)


def imported_modules(own_folder: str) -> list[str]:
    """Return the names of the imported modules, except those of the app's own folder, for a fork server."""
    own, names = own_folder.rstrip(os.sep) + os.sep, []
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        is_own = path.startswith(own) and "site-packages" not in path
        if path and not is_own and name != "__main__" and not name.startswith("bananastand_worker"):
            names.append(name)
    return names


def _freeze() -> None:
    """Exempt what init() has made from garbage collection, which takes 0.2 s in the middle of a request.

    The second collection, of nothing, sets the size by which Python decides when to collect next.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
