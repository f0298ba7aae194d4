"""The ends that a call can have, in words. Knows no row and no replica.

A call that the app answered ends with that answer, whatever its status; the others end with a status of their own and a
text that says what happened. `error` is set for every end that is no success.
"""

from __future__ import annotations

import json
import re

from ..errors import StoreError
from ..replicas.client import Headers, ReplicaResponse
from ..store.calls import Outcome, storable

__all__ = [
    "CANCELLED",
    "CUT_OFF",
    "NO_WEBSOCKETS",
    "REMOVED",
    "TOO_LONG",
    "answered",
    "broke_off",
    "closed",
    "does_not_start",
    "ended_websocket",
    "kept",
    "malformed",
    "never_served",
    "no_handshake",
    "no_deployment",
    "no_replicas",
    "not_readable",
    "not_recorded",
    "not_sendable",
    "platform_failed",
    "started",
    "silent",
    "timed_out",
    "worn_out",
]

FAILURES = (1002, 1003, 1007, 1008, 1009, 1010, 1011)  # codes of a close frame that say that something went wrong
JSON: Headers = (("content-type", "application/json"),)
TEXT: Headers = (("content-type", "text/plain; charset=utf-8"),)
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\u0100-\U0010ffff]*")  # latin-1 without control characters
AGAIN = (423, 503)  # busy, or not able to for now: the app has not done what it was asked
SAID = 500  # characters of an app's own words in an error


def _failed(status: int, error: str, *, again: bool = False) -> Outcome:
    error = storable(error)
    return Outcome(status, TEXT, error.encode(), error, again)


CANCELLED = _failed(500, "the run was cancelled")
CUT_OFF = _failed(503, "the websocket was cut off: the platform stopped; connect again")
NO_WEBSOCKETS = _failed(
    404, "a Potassium app has no websockets: send JSON by POST, or serve the app by a server of its own"
)
REMOVED = _failed(404, "the project was removed")
TOO_LONG = _failed(500, "the app's answer is longer than is kept")


def answered(answer: ReplicaResponse) -> Outcome:
    """What the app itself said, or a failure where HTTP cannot carry it to a caller.

    SDKs ask again after the statuses of AGAIN, and each time reaches the app.
    """
    if not 200 <= answer.status <= 599:
        return _failed(500, f"the app answered with status {answer.status}: answer with a status from 200 to 599")
    for name, value in answer.headers:
        if not NAME.fullmatch(name) or not VALUE.fullmatch(value):
            return _failed(500, f"the app's answer has a header that HTTP cannot carry: {ascii(name)[1:-1][:100]}")
    error = None if answer.status < 400 else f"the app answered {answer.status}{_words(answer)}"
    return Outcome(answer.status, answer.headers, answer.body, error, again=answer.status in AGAIN)


def started(answer: ReplicaResponse) -> bool:
    """Whether a background task goes on behind this answer of Potassium's own server."""
    return answer.status < 400 and len(answer.body) <= 100 and answer.json() == {"started": True}


def timed_out(seconds: float) -> Outcome:
    """The app did not answer in the project's inference timeout."""
    return _failed(
        504,
        f"the app did not answer in {seconds:g} s; longer work belongs in a background handler, or "
        "allow more: bananastand scale NAME --timeout SECONDS",
    )


def never_served(seconds: float) -> Outcome:
    """No replica took it in time."""
    return _failed(503, f"no replica took the call in {seconds:g} s", again=True)


def worn_out(attempts: int, reason: str) -> Outcome:
    """It was begun as often as allowed, and each time its replica was lost."""
    return _failed(500, f"the call was given up after {attempts} attempts: {reason}")


def no_handshake(reason: str) -> Outcome:
    """The app gave no answer to a websocket's handshake that could be passed on."""
    return _failed(502, f"the app did not answer the websocket's handshake: {reason}")


def closed(by: str, code: int | None, reason: str, received: int, sent: int) -> Outcome:
    """A websocket has ended. by: the caller or the app. code: of its close frame, if it had one."""
    summary = {"closed_by": by, "code": code, "reason": reason, "messages_received": received, "messages_sent": sent}
    body = json.dumps(summary).encode()
    error = f"the {by} closed the websocket with {code}" if code in FAILURES else None
    return Outcome(101, JSON, body, error and error + (f": {reason}" if reason else ""))


def ended_websocket(reason: str) -> Outcome:
    """A websocket that neither side has closed."""
    return _failed(500, f"the websocket ended: {reason}")


def silent(seconds: float) -> Outcome:
    """Nothing passed through a websocket for the inference timeout."""
    return _failed(
        504,
        f"no message passed for {seconds:g} s: send one from time to time, or allow more: "
        "bananastand scale NAME --timeout SECONDS",
    )


def broke_off(reason: str | None) -> Outcome:
    """Part of its answer had reached the caller already."""
    return _failed(500, f"the answer broke off: {reason or 'the connection to the replica broke'}")


def does_not_start(reason: str) -> Outcome:
    """The live version starts no replica. Published SDKs would try a 503 again for minutes, and hide the reason."""
    return _failed(500, f"the app does not start: {reason}", again=True)


def no_deployment(name: str, problem: str | None = None) -> Outcome:
    """There is no version that could take it. problem: why not, where that is known."""
    command = f"bananastand deploy FOLDER --name {name}"
    advice = f"{problem}; mend it, then: {command}" if problem else f"deploy it first: {command}"
    return _failed(404, f"{name} has no live version: {advice}", again=True)


def no_replicas(name: str) -> Outcome:
    """The project may have none."""
    return _failed(
        503,
        f"{name} may have no replica: its maxReplicas is 0; bananastand scale {name} --max 3 allows some",
        again=True,
    )


def not_readable(error: StoreError) -> Outcome:
    """What was to be handed to the app cannot be read."""
    return _failed(500, f"the call's body is lost: {error}")


def not_sendable(reason: str) -> Outcome:
    """The request has something in it that HTTP has no form for."""
    return _failed(400, f"the request cannot be sent to the app: {reason}")


def malformed(reason: str) -> Outcome:
    """What the app answered is not HTTP."""
    return _failed(500, f"the app's answer is not HTTP: {reason}")


def platform_failed(error: BaseException) -> Outcome:
    """A fault of the platform's own; its log has the traceback."""
    return _failed(500, f"the platform failed to run the call: {type(error).__name__}: {str(error)[:SAID]}")


def not_recorded(call: str, error: StoreError) -> str:
    """What those who wait are told while a call's end cannot be recorded; no end of the call."""
    return storable(f"the end of the call {call} cannot be stored yet, ask for it again later: {error}")


def kept(call: str) -> str:
    """What those who wait are told when the stand stops; no end of the call."""
    return f"the stand stops; the call {call} is kept, and done when it starts again"


def _words(answer: ReplicaResponse) -> str:
    value = answer.json()
    if isinstance(value, dict):
        error = value.get("error", value.get("message"))
        text = error.get("message") if isinstance(error, dict) else error
        try:
            return f": {storable(str(text)[:SAID])}" if text else f": {json.dumps(value)[:SAID]}"
        except (RecursionError, ValueError):  # nested thousands deep, or a number of thousands of digits
            return ""
    if answer.content_type.startswith("text/html") or not answer.body:
        return ""
    lines = answer.body[-SAID:].decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1]}" if lines else ""
