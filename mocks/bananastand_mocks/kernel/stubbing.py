"""Lets a stub of the world answer a request instead of the provider."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bananastand.contracts.json_body import MalformedJson, TooDeep, parse
from bananastand.contracts.parameters import parse_query
from bananastand.contracts.response import ApiResponse

from .call import ApiCall
from .http_request import HttpRequest

if TYPE_CHECKING:
    from .stub import IncomingRequest

__all__ = ["answer_with_stub"]


async def answer_with_stub(provider: str, request: HttpRequest, call: ApiCall | None) -> ApiResponse | None:
    """Return the response of the stub that a request fits, after its delay.

    A stub answers whatever the credential, the rate limit and the contract would say, also at an address that names no
    operation. Faults strike it as they strike the provider: where one sets the status, no stub answers.

    Args:
        provider: The provider's name.
        request: The request, whose `stub` is set.
        call: The call; None where the address names no operation. Then the world is that of the address.

    Returns:
        The response; None where no stub fits, or the request was compared before.
    """
    stubs = (call or request).world.stubs
    if not stubs or request.has_met_stubs:
        return None
    request.has_met_stubs = True
    if call is not None and any(fault.kind == "status" for fault in call.faults):
        return None
    taken = stubs.take(_incoming(provider, request, call))
    if taken is None:
        return None
    stub, response = taken
    request.stub = stub.id
    if response.delay:
        await asyncio.sleep(response.delay)
    return response.build()


def _incoming(provider: str, request: HttpRequest, call: ApiCall | None) -> IncomingRequest:
    from .stub import IncomingRequest

    text = request.body.decode("utf-8", "replace")
    try:
        body = parse(request.body) if request.body else None
    except (MalformedJson, TooDeep):
        body = text
    return IncomingRequest(
        provider,
        call.operation.id if call is not None else None,
        request.method,
        call.target if call is not None else request.path,
        call.query if call is not None else parse_query(request.query),
        request.headers,
        body,
        text,
    )
