"""Writes a call and its response into the journal and the coverage of its world, without secrets."""

from __future__ import annotations

from typing import Any

from bananastand.contracts.parameters import parse_query
from bananastand.contracts.redaction import hide, redact, redact_text
from bananastand.contracts.response import ApiResponse

from .call import ApiCall
from .http_request import HttpRequest
from .world import SHORTEST_SECRET

__all__ = ["record"]

LONGEST_TEXT = 10_000  # bytes of a body that is no JSON


def record(provider: str, request: HttpRequest, call: ApiCall | None, response: ApiResponse, content: bytes) -> None:
    """Record a call.

    Args:
        provider: The provider's name.
        request: The request.
        call: The call; None where the address named no operation. Then the world is that of the address.
        response: The response.
        content: Its encoded body.
    """
    world = call.world if call is not None else request.world
    body = _readable_body(request, call)
    if call is not None:
        names = {*call.query, *call.path, *call.headers, *(body if isinstance(body, dict) else ())}
        world.coverage.record(provider, call.operation.id, response.status, names & call.operation.parameters)
    if not world.journal.budget:
        return
    path = redact_text(call.target if call is not None else request.path)
    query: Any = redact(call.query if call is not None else parse_query(request.query))
    headers: Any = redact({name: value for name, value in request.headers.items() if name != "host"})
    body = redact(body)
    head = "\n".join((path, *map(str, query.values()), *headers.values()))
    own = call.credential if call is not None and call.credential else ""  # that of an API which takes any key
    secrets = [
        secret
        for secret in (*world.secrets(), *([own] if len(own) >= SHORTEST_SECRET else ()))
        if secret in head or secret.encode() in request.body or secret.encode() in content
    ]
    if secrets:
        path, query, headers, body, content = (hide(part, secrets) for part in (path, query, headers, body, content))
    world.journal.record(
        at=world.clock.now(),
        provider=provider,
        operation=call.operation.id if call is not None else None,
        method=request.method,
        path=path,
        query=query,
        headers=headers,
        body=body,
        status=response.status,
        answer=content,
        faults=tuple(fault.kind for fault in call.faults) if call is not None else (),
        stub=request.stub,
        body_bytes=len(request.body),
        head_bytes=len(request.path)
        + len(request.query)
        + sum(map(len, request.headers))
        + sum(map(len, request.headers.values())),
    )


def _readable_body(request: HttpRequest, call: ApiCall | None) -> Any:
    """The body as JSON where it was parsed, else as text without secrets, else its size in words."""
    if not request.body:
        return None
    if call is not None and call.body:
        return call.sent or call.body
    try:
        return redact_text(request.body[:LONGEST_TEXT].decode("utf-8"))
    except UnicodeDecodeError:
        return f"[{len(request.body)} bytes]"
