"""Relays one websocket between a caller and a replica, for as long as it has the replica's slot."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from ..errors import NodeLost
from ..replicas.client import Headers, ResponseTimeout
from ..replicas.node_loss import until_node_lost
from ..replicas.replica import Replica
from ..replicas.websocket_client import HandshakeDenied, HandshakeFailed, close_websocket, open_websocket
from ..scheduling import outcomes
from ..scheduling.pending_call import PendingCall
from ..settings import Settings
from ..store.calls import CallOutcome
from ..store.projects import Project
from .headers import answer_headers
from .websocket_caller import Close, WebsocketCaller

__all__ = ["WebsocketSession"]

LOG = logging.getLogger(__name__)

REQUEST_ID = "x-banana-request-id"
DRAIN_SECONDS = 2.0  # for messages that a caller sent before it left to reach the app
DEATH_SECONDS = 1.0  # in which it becomes known that a replica whose connection broke has ended
GOING_AWAY, TOO_BIG, FAILURE, RESTART = 1001, 1009, 1011, 1012
ABNORMAL = 1006  # no close frame at all
NO_CODE = 1005
STOPPING = Close(RESTART, "the platform stops; connect again when it runs")
HANDSHAKE = "sec-websocket-"


@dataclass(frozen=True, slots=True)
class _End:
    """How a websocket ends: the close frame for each side, and the outcome of the call."""

    to_app: Close
    to_caller: Close
    outcome: CallOutcome


class WebsocketSession:
    """The session of a websocket; see PendingCall.

    Attributes:
        opened: Done once the caller's handshake is completed.
        ended: Done when both sides are closed.
    """

    def __init__(self, caller: WebsocketCaller, subprotocols: Sequence[str], settings: Settings) -> None:
        self._caller, self._subprotocols, self._settings = caller, subprotocols, settings
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received = self._sent = 0
        self._last = time.monotonic()

    def stop(self) -> None:
        """End the websocket, because the platform stops."""
        if not self._stopping.done():
            self._stopping.set_result(None)

    async def __call__(self, project: Project, pending: PendingCall, replica: Replica) -> CallOutcome:
        """Connect the caller to the replica's app until one of them is gone; return the outcome.

        Raises RequestNotDelivered if the app has seen nothing of it.
        """
        if replica.address is None:
            return outcomes.NO_WEBSOCKETS
        timeout, headers = float(project.inference_timeout), _app_headers(pending, replica.address)
        route, max_message = pending.call.route, self._settings.max_message
        try:
            with until_node_lost(replica.node_lost):
                app = await open_websocket(
                    replica.address, route, headers, self._subprotocols, max_message, timeout, replica.connect
                )
        except NodeLost as lost:
            return outcomes.no_handshake(str(lost))
        except HandshakeDenied as denied:
            return outcomes.from_answer(denied.response)
        except HandshakeFailed as problem:
            return outcomes.no_handshake(await self._death(replica) or str(problem))
        except ResponseTimeout:
            return outcomes.timed_out(timeout)
        try:
            return await self._converse(app, pending, project, replica)
        except asyncio.CancelledError:
            await self._caller.close(_cancelled(pending))
            raise
        except Exception:
            LOG.exception("a websocket of %s failed", project.name)
            reason = "the platform failed; its own log says why"
            await self._caller.close(Close(FAILURE, reason))
            return outcomes.ended_websocket(reason)
        finally:
            app.transport.abort()
            if not self.ended.done():
                self.ended.set_result(None)

    async def _converse(
        self, app: ClientConnection, pending: PendingCall, project: Project, replica: Replica
    ) -> CallOutcome:
        response = app.response
        assert response is not None, "a handshake that is done has a response"
        headers = answer_headers(_caller_headers(response.headers.raw_items()), pending.call.id)
        try:
            await self._caller.accept(app.subprotocol, headers)
        except OSError:
            await close_websocket(app, GOING_AWAY, "the caller is gone")
            return outcomes.CANCELLED
        self._last = time.monotonic()
        self.opened.set_result(None)
        end = await self._relay(app, project, replica)
        closing = close_websocket(app, end.to_app.code, end.to_app.short_reason)
        await asyncio.gather(closing, self._caller.close(end.to_caller))
        return end.outcome

    async def _relay(self, app: ClientConnection, project: Project, replica: Replica) -> _End:
        up = asyncio.create_task(self._to_app(app))
        down = asyncio.create_task(self._to_caller(app))
        limits = asyncio.create_task(self._enforce_limits(project, replica))
        gone = self._caller.gone
        try:
            await asyncio.wait({down, limits, gone, self._stopping}, return_when=asyncio.FIRST_COMPLETED)
            if down.done() and down.result():
                return await self._app_closed(app, replica)
            if gone.done() or down.done():
                await asyncio.wait({up}, timeout=DRAIN_SECONDS)
                return self._caller_closed(gone.result() if gone.done() else Close(None))
            if limits.done():
                return limits.result()
            return _End(STOPPING, STOPPING, outcomes.CUT_OFF)
        finally:
            for task in (up, down, limits):
                task.cancel()
            await asyncio.wait({up, down, limits})

    async def _to_app(self, app: ClientConnection) -> None:
        """Pass the caller's messages on until it or the app is gone."""
        try:
            while (message := await self._caller.next_message()) is not None:
                await app.send(message)
                self._received += 1
                self._last = time.monotonic()
        except ConnectionClosed:
            pass  # the other direction reports how

    async def _to_caller(self, app: ClientConnection) -> bool:
        """Pass the app's messages on until one side is gone; return whether that is the app."""
        try:
            while True:
                await self._caller.send(await app.recv())
                self._sent += 1
                self._last = time.monotonic()
        except ConnectionClosed:
            return True
        except OSError:
            return False

    async def _enforce_limits(self, project: Project, replica: Replica) -> _End:
        """Return the end once the websocket is silent for too long, or its replica leaves."""
        timeout, grace = float(project.inference_timeout), self._settings.stop_grace
        drained: float | None = None
        while True:
            now = time.monotonic()
            if (due := self._last + timeout) <= now:
                outcome = outcomes.silent_websocket(timeout)
                return _both(Close(GOING_AWAY, outcome.error or ""), outcome)
            if replica.leaving.done():
                if replica.state != "draining":
                    return _left(replica)
                drained = drained or now
                if drained + grace <= now:
                    reason = f"its replica drains and {grace:g} s are over; connect again"
                    return _both(Close(RESTART, reason), outcomes.ended_websocket(reason))
                due = min(due, drained + grace)
            await asyncio.wait({replica.ended if drained else replica.leaving}, timeout=due - now)

    async def _app_closed(self, app: ClientConnection, replica: Replica) -> _End:
        sent, received = app.protocol.close_sent, app.protocol.close_rcvd
        if sent is not None and not app.protocol.close_rcvd_then_sent:  # a frame of the app violated the protocol
            limit = self._settings.max_message
            too_big = sent.code == TOO_BIG
            reason = f"the app's message is longer than {limit} bytes" if too_big else f"the app's frame: {sent.reason}"
            return _both(Close(sent.code, reason), outcomes.ended_websocket(reason))
        if received is None:
            reason = await self._death(replica) or "the app broke the connection off"
            return _both(Close(FAILURE, reason), outcomes.ended_websocket(reason))
        close = Close(None if received.code == NO_CODE else received.code, received.reason)
        return _both(close, outcomes.closed_websocket("app", close.code, close.reason, self._received, self._sent))

    def _caller_closed(self, close: Close) -> _End:
        outcome = outcomes.closed_websocket("caller", close.code, close.reason, self._received, self._sent)
        return _End(Close(GOING_AWAY) if close.code == ABNORMAL else close, close, outcome)

    @staticmethod
    async def _death(replica: Replica) -> str | None:
        """Return why the replica has ended, if it has."""
        await asyncio.wait({replica.ended}, timeout=DEATH_SECONDS)
        return replica.failure if replica.ended.done() else None


def _both(close: Close, outcome: CallOutcome) -> _End:
    return _End(close, close, outcome)


def _left(replica: Replica) -> _End:
    reason = replica.failure or "the replica ended"
    code = RESTART if replica.is_stop_requested else FAILURE
    return _both(Close(code, reason), outcomes.ended_websocket(reason))


def _cancelled(pending: PendingCall) -> Close:
    cancelled = pending.cancelled
    return STOPPING if cancelled is None else Close(GOING_AWAY, cancelled.error or "")


def _app_headers(pending: PendingCall, address: tuple[str, int]) -> Headers:
    """Return the headers for the app.

    An Origin has passed the host guard as the platform's own; an app compares it with the Host that it gets.
    """
    host, port = address
    own = f"http://localhost:{port}" if ":" in host else f"http://{host}:{port}"
    headers = tuple((name, own if name == "origin" else value) for name, value in pending.call.headers)
    if any(name == REQUEST_ID for name, _ in headers):
        return headers
    return (*headers, (REQUEST_ID, pending.call.run_id))


def _caller_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return the app's headers without those of the handshake."""
    named = [(name.lower(), value) for name, value in headers]
    return tuple((name, value) for name, value in named if not name.startswith(HANDSHAKE))
