"""The outcomes that a call can have.

A call that the app answered ends with that answer, whatever its status. The others end with a status of the platform's
and a text that says what happened. `error` is set for every outcome that is a failure.
"""

from __future__ import annotations

import json
import re

from ..errors import StoreError
from ..replicas.client import Headers, ReplicaResponse
from ..store.calls import CallOutcome, storable

__all__ = [
    "CANCELLED",
    "CUT_OFF",
    "NO_ROOM",
    "NO_WEBSOCKETS",
    "REMOVED",
    "TOO_LONG",
    "closed_websocket",
    "does_not_start",
    "ended_websocket",
    "from_answer",
    "interrupted",
    "is_background_start",
    "malformed",
    "never_served",
    "no_handshake",
    "no_deployment",
    "no_replicas",
    "not_readable",
    "not_recorded",
    "not_sendable",
    "platform_failed",
    "retries_exhausted",
    "silent_websocket",
    "stopping",
    "timed_out",
]

FAILURE_CODES = (1002, 1003, 1007, 1008, 1009, 1010, 1011)  # of a close frame (RFC 6455, 7.4.1)
JSON: Headers = (("content-type", "application/json"),)
TEXT: Headers = (("content-type", "text/plain; charset=utf-8"),)
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\u0100-\U0010ffff]*")  # latin-1 without control characters
RETRYABLE = (423, 503)  # statuses of an app that is busy or unavailable and has not done the work
QUOTED = 500  # characters of an app's own text in an error


def _failed(status: int, error: str, *, retryable: bool = False) -> CallOutcome:
    error = storable(error)
    return CallOutcome(status, TEXT, error.encode(), error, retryable)


CANCELLED = _failed(500, "the run was cancelled")
CUT_OFF = _failed(503, "the websocket was cut off: the platform stopped; connect again")
NO_WEBSOCKETS = _failed(
    404, "a Potassium app has no websockets: send JSON by POST, or serve the app by a server of its own"
)
REMOVED = _failed(404, "the project was removed")
NO_ROOM = _failed(503, "the platform holds too many large answers: try again in a moment", retryable=True)
TOO_LONG = _failed(500, "the app's answer is longer than is kept")


def from_answer(answer: ReplicaResponse) -> CallOutcome:
    """Return the app's own answer as an outcome, or a failure if HTTP cannot carry it to a caller.

    SDKs retry after the statuses of RETRYABLE, and every retry reaches the app.
    """
    if not 200 <= answer.status <= 599:
        return _failed(500, f"the app answered with status {answer.status}: answer with a status from 200 to 599")
    for name, value in answer.headers:
        if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
            return _failed(500, f"the app's answer has a header that HTTP cannot carry: {ascii(name)[1:-1][:100]}")
    error = None if answer.status < 400 else f"the app answered {answer.status}{_quote(answer)}"
    return CallOutcome(answer.status, answer.headers, answer.body, error, retryable=answer.status in RETRYABLE)


def is_background_start(answer: ReplicaResponse) -> bool:
    """Return whether a background task runs on after this answer of Potassium's own server."""
    return answer.status < 400 and len(answer.body) <= 100 and answer.json() == {"started": True}


def timed_out(seconds: float) -> CallOutcome:
    """Return the outcome of a call whose app did not answer within the project's inference timeout."""
    return _failed(
        504,
        f"the app did not answer in {seconds:g} s; longer work belongs in a background handler, or "
        "allow more: bananastand scale NAME --timeout SECONDS",
    )


def never_served(seconds: float) -> CallOutcome:
    """Return the outcome of a call that waited `seconds` for a replica."""
    return _failed(503, f"no replica took the call in {seconds:g} s", retryable=True)


def retries_exhausted(attempts: int, reason: str) -> CallOutcome:
    """Return the outcome of a call that was attempted as often as allowed, and whose replica was lost every time."""
    return _failed(500, f"the call was given up after {attempts} attempts: {reason}")


def no_handshake(reason: str) -> CallOutcome:
    """Return the outcome of a websocket whose handshake the app did not answer with valid HTTP."""
    return _failed(502, f"the app did not answer the websocket's handshake: {reason}")


def closed_websocket(by: str, code: int | None, reason: str, received: int, sent: int) -> CallOutcome:
    """Return the outcome of a websocket that one side has closed.

    Args:
        by: "caller" or "app".
        code: The code of the close frame, if it had one.
        reason: The reason in the close frame.
        received: Messages from the caller.
        sent: Messages from the app.
    """
    summary = {"closed_by": by, "code": code, "reason": reason, "messages_received": received, "messages_sent": sent}
    body = json.dumps(summary).encode()
    error = f"the {by} closed the websocket with {code}" if code in FAILURE_CODES else None
    return CallOutcome(101, JSON, body, error and error + (f": {reason}" if reason else ""))


def ended_websocket(reason: str) -> CallOutcome:
    """Return the outcome of a websocket that neither side has closed."""
    return _failed(500, f"the websocket ended: {reason}")


def silent_websocket(seconds: float) -> CallOutcome:
    """Return the outcome of a websocket without a message for the inference timeout."""
    return _failed(
        504,
        f"no message passed for {seconds:g} s: send one from time to time, or allow more: "
        "bananastand scale NAME --timeout SECONDS",
    )


def interrupted(reason: str | None) -> CallOutcome:
    """Return the outcome of a call whose response broke off after the caller had part of it."""
    return _failed(500, f"the answer broke off: {reason or 'the connection to the replica broke'}")


def does_not_start(reason: str) -> CallOutcome:
    """Return the outcome where the live version starts no replica. SDKs would retry a 503 for minutes and hide why."""
    return _failed(500, f"the app does not start: {reason}", retryable=True)


def no_deployment(name: str, problem: str | None = None) -> CallOutcome:
    """Return the outcome where the project has no version; `problem` says why, if that is known."""
    command = f"bananastand deploy FOLDER --name {name}"
    advice = f"{problem}; mend it, then: {command}" if problem else f"deploy it first: {command}"
    return _failed(404, f"{name} has no live version: {advice}", retryable=True)


def no_replicas(name: str) -> CallOutcome:
    """Return the outcome where the project may have no replicas."""
    return _failed(
        503,
        f"{name} may have no replica: its maxReplicas is 0; bananastand scale {name} --max 3 allows some",
        retryable=True,
    )


def not_readable(error: StoreError) -> CallOutcome:
    """Return the outcome where the request's body cannot be read any more."""
    return _failed(500, f"the call's body is lost: {error}")


def not_sendable(reason: str) -> CallOutcome:
    """Return the outcome where HTTP cannot carry the request to the app."""
    return _failed(400, f"the request cannot be sent to the app: {reason}")


def malformed(reason: str) -> CallOutcome:
    """Return the outcome where the app's answer is not HTTP."""
    return _failed(500, f"the app's answer is not HTTP: {reason}")


def platform_failed(error: BaseException) -> CallOutcome:
    """Return the outcome of a fault of the platform's own, whose traceback is in its log."""
    return _failed(500, f"the platform failed to run the call: {type(error).__name__}: {str(error)[:QUOTED]}")


def not_recorded(call: str, error: StoreError) -> str:
    """Return what callers are answered while the end of a call cannot be recorded."""
    return storable(f"the end of the call {call} cannot be stored yet, ask for it again later: {error}")


def stopping(call: str) -> str:
    """Return what callers are answered when the platform stops before their call is over."""
    return f"the platform stops; the call {call} is kept, and done when it starts again"


def _quote(answer: ReplicaResponse) -> str:
    value = answer.json()
    if isinstance(value, dict):
        error = value.get("error", value.get("message"))
        text = error.get("message") if isinstance(error, dict) else error
        try:
            return f": {storable(str(text)[:QUOTED])}" if text else f": {json.dumps(value)[:QUOTED]}"
        except (RecursionError, ValueError):  # nested thousands deep, or a number of thousands of digits
            return ""
    if answer.content_type.startswith("text/html") or not answer.body:
        return ""
    lines = answer.body[-QUOTED:].decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""
