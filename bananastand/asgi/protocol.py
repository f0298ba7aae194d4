"""The HTTP/1.1 connections of every server of ours: uvicorn's, with limits of time, of headers and of connections.

A request that breaks a limit is answered before any application sees it, in the server's dialect; what its caller
still sends is discarded for a moment, so that the answer can be read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Literal, cast

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from .connection_limiter import ConnectionLimiter
from .departures import Departure, departure_of
from .joined_writes import JoinedWrites
from .refusals import Dialect, Refusal, plain_json, response

__all__ = ["LimitedProtocol", "ServerConfig"]

# first: no byte yet. head: a request's line and headers come. body: its body comes. answer: the application has all of
# it. idle: between two requests. closing: refused, and closed in a moment.
Phase = Literal["first", "head", "body", "answer", "idle", "closing", "websocket"]
# websocket: handed over to the protocol of websockets.
OF_AN_UPGRADE = (b"upgrade", b"http2-settings")  # headers, and options of the header Connection
OF_A_CONNECTION = (b"h2c", b"tls/", b"http/")  # protocols below the application
LINGER = 2.0  # seconds after a refusal in which its caller may read it


class ServerConfig(Config):
    """uvicorn's settings, the server's connection limiter, and the dialect of its refusals.

    Args:
        app: The ASGI application.
        limiter: Admits its connections.
        dialect: Writes the bodies of refusals.
        reserved: Path prefixes that are answered beyond the usual number of connections.
        options: Further options of uvicorn's.
    """

    def __init__(
        self,
        app: Any,
        *,
        limiter: ConnectionLimiter,
        dialect: Dialect = plain_json,
        reserved: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        defaults: dict[str, Any] = {
            "log_level": "warning", "access_log": False, "server_header": False, "proxy_headers": False,
            "timeout_keep_alive": round(limiter.limits.keep_alive), "timeout_graceful_shutdown": 1,
        }  # fmt: skip
        super().__init__(app, http=LimitedProtocol, **{**defaults, **options})
        self.limiter, self.dialect, self.reserved = limiter, dialect, reserved


class _ParserStop(Exception):
    """Ends the parser; the refusal is in the protocol."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        assert isinstance(config, ServerConfig), "it serves our own configuration only"
        self._limiter, self._dialect, self._reserved = config.limiter, config.dialect, config.reserved
        self._limits = config.limiter.limits
        self._phase: Phase = "first"
        self._is_reserve = False
        self._refusal: Refusal | None = None
        self._head_size = self._lines = 0
        self._unparsed = 0  # bytes that the parser keeps of a header which is not whole
        self._events = 0  # of the parser
        self._requests = 0
        self._ignores_upgrade = False
        self._ignored_headers: list[tuple[bytes, bytes]] = []  # of an upgrade that is ignored, for the application
        self._unanswered: deque[RequestResponseCycle] = deque()
        self._received = 0  # of a body
        self._discarded = 0
        self._last_check: tuple[Phase, int] = ("first", 0)  # phase and request at the last check
        self._since = self._body_mark = 0.0
        self._write_mark, self._write_since = 0, 0.0

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit the connection, or refuse and close it."""
        super().connection_made(transport)
        self._joined_writes = JoinedWrites(transport, self.loop)
        self._since = self._write_since = self.loop.time()
        admission = self._limiter.admit(self)
        self._is_reserve = admission == "reserve"
        if admission == "full":
            self._phase = "closing"
            transport.write(response(self._full(), self._dialect))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the connection."""
        self._limiter.release(self)
        super().connection_lost(exc)
        for cycle in self._unanswered:
            departure_of(cycle.scope).leave()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, and compare it with the limits."""
        if self._phase == "closing":
            self._discard(data)
            return
        self._unset_keepalive_if_required()
        if self._phase in ("first", "idle"):
            self._phase = "head"
        before, lines, parser = self._events, self._lines, self.parser
        assert parser is not None, "a connection that is open has a parser"
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            message = "this is not a request of HTTP/1.1: send one, to this address"
            self._refuse(self._refusal or self._refused(400, "invalid_request", message))
            return
        if self._phase in ("answer", "idle"):
            self._unparsed = 0
            return
        self._unparsed = self._unparsed + len(data) if (self._events, self._lines) == (before, lines) else 0
        if self._head_size + self._unparsed > self._limits.head_bytes and self._unparsed:
            self._refuse(self._too_long())
        elif self._phase == "body" and not self._unanswered:
            self._discarded += len(data)
            if self._discarded > self._limits.drained:
                self.transport.close()

    def _upgrade(self, rest: bytes) -> None:
        if self._ignores_upgrade:
            self._ignores_upgrade = False
            self._parse_without_upgrade(rest)
            return
        if not self._should_upgrade():
            self._unsupported_upgrade_warning()
            return
        self._phase = "websocket"
        self._limiter.mark_busy(self)
        self.handle_websocket_upgrade()

    def _parse_without_upgrade(self, rest: bytes) -> None:
        """Parse a request again without its Upgrade header; `rest` is what came behind the headers.

        The parser takes what follows an upgrade for another protocol, and drops the body. A server may ignore an
        upgrade (RFC 9110, 7.8), and this one serves HTTP/1.1 alone. Java's client asks for HTTP/2 by default. The
        application gets the header of any other protocol, which it may refuse.
        """
        assert self.parser is not None, "a connection that is open has a parser"
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                value = b", ".join(option for option in options if option.lower() not in OF_AN_UPGRADE)
            if name not in OF_AN_UPGRADE and (value or name != b"connection"):
                lines.append(name + b": " + value)
        ignored = [(name, value) for name, value in self.headers if name in OF_AN_UPGRADE]
        protocols = [value.lower() for name, value in ignored if name == b"upgrade"]
        is_of_connection = any(protocol.startswith(OF_A_CONNECTION) for protocol in protocols)
        self._ignored_headers = [] if is_of_connection else ignored
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._phase = "head"
        self.data_received(b"\r\n".join([*lines, b"", b""]) + rest)

    # The parser's events

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._events += 1
        self._requests += 1
        self._head_size = self._lines = 0
        self._phase = "head"
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Add a piece of the request's target."""
        self._events += 1
        self._head_size += len(url)
        super().on_url(url)
        if self._head_size > self._limits.target_bytes:
            limit = self._limits.target_bytes
            self._stop(414, "target_too_long", f"the address is longer than {limit} bytes: send the values in the body")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header. A trailer is counted and dropped, as an application could take it for a header."""
        self._lines += 1
        self._head_size += len(name) + len(value) + 4
        if self._lines > self._limits.head_lines or self._head_size > self._limits.head_bytes:
            self._refuse_headers()
        if self._phase == "head":  # from here on as in the parent, for each header of each request
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def _refuse_headers(self) -> None:
        limit = self._limits.head_lines
        if self._lines > limit:
            self._stop(431, "too_many_headers", f"the request has more than {limit} headers: send fewer")
        self._refusal = self._too_long()
        raise _ParserStop

    def on_headers_complete(self) -> None:
        """Check the headers, and hand the request to the application."""
        self._events += 1
        self._phase, self._received, self._body_mark, self._discarded = "body", 0, 0, 0
        if not self.url.startswith((b"/", b"http://", b"https://")):
            target = ascii(self.url[:100].decode("latin-1"))[1:-1]
            self._stop(400, "invalid_target", f"the target {target} is not a path: send one that begins with /")
        if self._is_reserve and not self._is_for_reserve():
            self._limiter.count_refusal()
            self._refusal = self._full()
            raise _ParserStop
        if len(self.pipeline) >= self._limits.pipelined:
            limit = self._limits.pipelined
            self._stop(400, "pipelined", f"more than {limit} requests came before the first was answered: wait for it")
        self._limiter.mark_busy(self)
        parser = self.parser
        assert parser is not None, "a connection that is open has a parser"
        if parser.should_upgrade() and parser.get_method() != b"CONNECT" and not self._should_upgrade():
            self._ignores_upgrade = True
            return
        self.headers += self._ignored_headers
        self._ignored_headers = []
        earlier = self.cycle
        super().on_headers_complete()
        if self.cycle is not earlier:
            self._unanswered.append(self.cycle)
            Departure().add_to(self.scope)
            self.cycle.transport = cast(asyncio.Transport, self._joined_writes)
            self.cycle.keep_alive = self.cycle.keep_alive and not self._is_reserve

    def on_body(self, body: bytes) -> None:
        """Add a piece of the request's body."""
        self._events += 1
        self._received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        self._events += 1
        if self._ignores_upgrade:
            return
        super().on_message_complete()
        self._phase = "answer"
        if not self._unanswered:
            self._wait_for_request()

    def on_response_complete(self) -> None:
        """Note that the response is written."""
        self._unanswered.popleft()
        super().on_response_complete()
        if self._phase == "answer" and not self._unanswered:
            self._wait_for_request()

    def _wait_for_request(self) -> None:
        self._phase = "idle"
        self._limiter.mark_idle(self)

    # Timeouts

    def check_timeouts(self, now: float) -> None:
        """Compare the loop's time with the limits, and close or refuse what exceeds them."""
        self._check_response(now)
        current = (self._phase, self._requests)
        if current != self._last_check:
            self._last_check, self._since, self._body_mark = current, now, self._received
            return
        age, limits = now - self._since, self._limits
        silence = {"first": self._patience(limits.first_byte), "idle": limits.keep_alive}.get(self._phase)
        if silence is not None and age > silence:
            self.transport.close()
        elif self._phase == "head" and age > self._patience(limits.head):
            message = f"the headers did not arrive in {limits.head:g} s: send the request again"
            self._refuse(self._refused(408, "headers_timeout", message))
        elif self._phase == "body":
            self._check_body_rate(now, age)
        elif self._phase == "closing" and age > LINGER:
            self.transport.abort()
        elif self._phase == "websocket" and self.transport.is_closing():
            self._limiter.release(self)

    def _patience(self, seconds: float) -> float:
        return min(LINGER, seconds) if self._is_reserve else seconds

    def _check_body_rate(self, now: float, age: float) -> None:
        limits = self._limits
        if self.flow.read_paused:  # the application does not read
            self._since, self._body_mark = now, self._received
        elif age >= limits.body_window:
            if self._received - self._body_mark >= limits.body_rate * limits.body_window:
                pass
            elif not self._unanswered:
                self.transport.close()
            else:
                message = f"the body came slower than {limits.body_rate} bytes a second for {limits.body_window:g} s"
                self._refuse(self._refused(408, "body_timeout", f"{message}: send the request again"))
            self._since, self._body_mark = now, self._received

    def _check_response(self, now: float) -> None:
        """Close a connection whose caller takes nothing of what waits to be sent."""
        waiting = self.transport.get_write_buffer_size()
        is_stuck = waiting and (self.flow.write_paused or self.transport.is_closing()) and waiting >= self._write_mark
        if not is_stuck:
            self._write_since = now
        self._write_mark = waiting
        if is_stuck and now - self._write_since > self._limits.write_idle:
            self.transport.abort()

    # Refusals

    def _stop(self, status: int, code: str, message: str) -> None:
        """End the parser with a refusal."""
        self._refusal = self._refused(status, code, message)
        raise _ParserStop

    def _refused(self, status: int, code: str, message: str, retry_after: int | None = None) -> Refusal:
        host = next((value for name, value in self.headers or () if name == b"host"), b"")
        path = (getattr(self, "url", None) or b"").partition(b"?")[0]
        port = (self.server or ("", 0))[1] or 0
        return Refusal(status, code, message, path.decode("latin-1"), port, host.decode("latin-1"), retry_after)

    def _too_long(self) -> Refusal:
        limit = self._limits.head_bytes
        return self._refused(431, "headers_too_large", f"the headers are longer than {limit} bytes: send less in them")

    def _full(self) -> Refusal:
        return self._refused(503, "too_many_connections", "too many connections are open: try again in a moment", 1)

    def _is_for_reserve(self) -> bool:
        path = self.url.partition(b"?")[0].decode("latin-1")
        return any(
            path == prefix or (path.startswith(f"{prefix}/") and "/call/" not in path) for prefix in self._reserved
        )

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, unless an earlier request is being answered: then the connection is closed behind that."""
        if self.transport.is_closing():
            return
        if self._unanswered and not self._is_in_turn():
            self._close_behind_answer()
            return
        self._phase = "closing"
        self._since = self.loop.time()
        self._last_check = ("closing", self._requests)
        self._limiter.mark_idle(self)
        for cycle in self._unanswered:
            cycle.disconnected = True  # for the application its caller has left
            cycle.message_event.set()
            departure_of(cycle.scope).leave()
        self.flow.resume_reading()
        self._joined_writes.flush()
        self.transport.write(response(refusal, self._dialect))
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _is_in_turn(self) -> bool:
        """Whether the refused request is the one that is being answered, and no answer has begun."""
        return len(self._unanswered) == 1 and self.cycle.more_body and not self.cycle.response_started

    def _close_behind_answer(self) -> None:
        self._phase = "answer"
        self.pipeline.clear()
        self.flow.pause_reading()
        self._unanswered[0].keep_alive = False

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > self._limits.drained:
            self.transport.abort()
