"""Serves one provider over HTTP: `HttpHandler` takes a request from its first byte to the last byte of its response.

Any step may refuse the call with ProviderError; the provider renders the error's condition with its own status and
body. The kernel's own conditions are unknown_route, wrong_method, malformed_json, too_deep, too_large, unauthorized,
unknown_credential, rate_limited, violation, fault and server_error.

This is the hot path: plain ASGI, without middleware and without FastAPI's routing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import suppress
from types import CoroutineType
from typing import Any

from bananastand.asgi.bodies import BodyReservation, ClientDisconnected
from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.parameters import parse_query
from bananastand.contracts.request import check_request, parse_body
from bananastand.contracts.request_body import read_request_body
from bananastand.contracts.response import JSON, ApiResponse, encode
from bananastand.contracts.response_headers import RETRY_AFTER, add_refusal_headers, preflight_headers, response_headers

from .call import ApiCall
from .delivery import Receive, Send, deliver, deliver_stream
from .endpoints import bind_endpoints
from .errors import ContractBreach
from .exchange import Exchange
from .http_request import HttpRequest
from .provider import Provider
from .recording import record
from .stubbing import answer_with_stub
from .world import World
from .worlds import Worlds

__all__ = ["HttpHandler"]

CLOCK, ADVANCE = b"x-stand-clock", "x-stand-advance"  # the clients have the same names
LONGEST_ADVANCE = 86400.0  # seconds that one request may move a clock

log = logging.getLogger("bananastand_mocks")


class HttpHandler:
    """An ASGI application for one provider over all worlds of a server.

    Args:
        provider: The provider.
        worlds: The worlds that the credentials of calls open.
        strict: Raise what is otherwise logged and answered with the provider's 500: a response that does not fit the
            contract (ContractBreach), and any other exception of an endpoint. Both are noted in the world's `breaches`.
    """

    def __init__(self, provider: Provider, worlds: Worlds, *, strict: bool = False) -> None:
        self.provider, self.worlds, self.strict = provider, worlds, strict
        self._endpoints = bind_endpoints(provider, self._dispatch)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request."""
        provider, call, exchange, response = self.provider, None, None, None
        request = HttpRequest(scope, self.worlds.default)
        if request.is_preflight:
            await deliver(send, 204, preflight_headers(request.headers, cors=provider.cors), b"")
            return
        try:
            with self.worlds.bodies.reserve() as reservation:
                exchange = request.world.exchanges.get(provider.name)
                if exchange is None:
                    response = provider.early(request)
                if response is None:
                    try:
                        call = self._find_operation(request)
                    except ProviderError:
                        if exchange is None:
                            raise
                    finally:  # a body without an operation is read too, for the journal
                        request.body = await read_request_body(
                            receive, request.method, request.headers, provider.max_body, reservation
                        )
                    if exchange is not None:
                        response = await self._take(exchange, request, call)
                    elif call is not None:
                        response = await self._serve(call, request, reservation)
        except ClientDisconnected:
            return
        except ProviderError as error:
            response = await answer_with_stub(provider.name, request, call) or self._refuse(call, error.problem)
        except Exception as error:
            response = self._fail(call, error)
        assert response is not None, "a request without an operation is refused"
        is_checked = exchange is None and request.stub is None and provider.is_checked
        response, content = self._complete(call, response, is_checked=is_checked)
        record(provider.name, request, call, response, content)
        json_type = provider.json_type if exchange is None else JSON
        headers = response_headers(response, content, request.headers, json_type=json_type, cors=provider.cors)
        if call is not None and exchange is None and (clock := call.world.clock_header()) is not None:
            headers.append((CLOCK, clock.encode("latin-1")))
        faults = call.faults if call is not None else ()
        if response.pieces is not None:
            await deliver_stream(send, receive, response.status, headers, response.pieces, faults)
        else:
            await deliver(send, response.status, headers, b"" if request.method == "HEAD" else content, faults)

    async def _serve(self, call: ApiCall, request: HttpRequest, reservation: BodyReservation) -> ApiResponse:
        """Take a call through its steps to the provider's function."""
        provider = self.provider
        request.body = call.raw = provider.decode_body(request.body, request.headers, reservation)
        if provider.parse_first:
            parse_body(call, objects_only=provider.objects_only)
        self._authenticate(call, request.pinned)
        call.faults = call.world.faults.strike(call.operation.id)
        if call.world.clock.step:
            await asyncio.to_thread(call.world.clock.take_step)
        if call.world.stubs and (stubbed := await answer_with_stub(provider.name, request, call)) is not None:
            return stubbed
        if not provider.parse_first:
            parse_body(call, objects_only=provider.objects_only)
        await self._advance(call)
        self._run_due_events(call.world)
        self._count_against_limit(call)
        self._raise_status_fault(call)
        return provider.success(call, await self._answer(call))

    async def _take(self, exchange: Exchange, request: HttpRequest, call: ApiCall | None) -> ApiResponse:
        """Take the response from a recording or the real service; stubs, faults and limits hold there too."""
        if call is not None:
            call.raw = request.body
            with suppress(ProviderError):  # the service's own keys open no world
                parse_body(call)
                self._authenticate(call, request.pinned)
            call.faults = call.world.faults.strike(call.operation.id)
        if (stubbed := await answer_with_stub(self.provider.name, request, call)) is not None:
            return stubbed
        if call is not None:
            self._count_against_limit(call)
            self._raise_status_fault(call)
        return await exchange.answer(request, call)

    def check_response(self, call: ApiCall, response: ApiResponse, *, provoked: bool) -> None:
        """Hold a response to the contract.

        Args:
            call: The call.
            response: Its response.
            provoked: Whether a test provoked it, so that the contract need not know its status.

        Raises:
            ContractBreach: The response does not fit, and the handler is strict.
        """
        if provoked and not call.operation.names(response.status):
            return
        difference = call.operation.check_response(response)
        if difference is None:
            return
        message = f"{self.provider.name} {call.operation.id}: {difference}"
        call.world.note_breach(message)
        log.error("%s %s response does not fit its contract: %s", self.provider.name, call.operation.id, difference)
        if self.strict:
            raise ContractBreach(message)

    def _find_operation(self, request: HttpRequest) -> ApiCall:
        path, query = self.provider.rewrite(request.path, request.query, request.world)
        operation, path_parameters = self.provider.contract.routes.find(request.method, path)
        return ApiCall(
            operation,
            request.method,
            path,
            path_parameters,
            parse_query(query) if query else {},
            request.headers,
            request.world,
            origin=request.origin,
            root=request.root,
        )

    def _authenticate(self, call: ApiCall, pinned: World | None) -> None:
        """Put the call into the world that its credential opens; one without a credential stays where it is."""
        credential = self.provider.secret(call)
        if credential is None:
            return
        world = self.worlds.holding(*credential)
        if world is None or (pinned is not None and world is not pinned):
            raise ProviderError("unknown_credential")
        call.world, call.credential = world, credential[1]

    async def _advance(self, call: ApiCall) -> None:
        """Move the clock of a world that lets its clients do so by the seconds that a client would have slept."""
        text = call.headers.get(ADVANCE)
        if text is None or not (call.world.auto_advance and call.world.clock.virtual):
            return
        try:
            seconds = float(text)
        except ValueError:
            return
        if math.isfinite(seconds) and 0 < seconds <= LONGEST_ADVANCE:
            await asyncio.to_thread(call.world.clock.advance, seconds)  # what falls due may block

    def _run_due_events(self, world: World) -> None:
        if world.clock.run_due() and self.worlds.keep is not None:
            self.worlds.keep(world)

    def _count_against_limit(self, call: ApiCall) -> None:
        # An operation without a credential, such as a health check, has no limit unless its contract names one.
        if call.credential is None and not call.operation.names(429):
            return
        if (subject := self.provider.subject(call)) is None:
            return
        call.allowance = call.world.limits.take(self.provider.name, subject, call.world.clock.now())
        if call.allowance is not None and not call.allowance.allowed:
            raise ProviderError("rate_limited", allowance=call.allowance)

    def _raise_status_fault(self, call: ApiCall) -> None:
        for fault in call.faults:
            if fault.kind == "status":
                raise ProviderError("fault", fault.message, status=fault.status, fault=fault)

    async def _answer(self, call: ApiCall) -> ApiResponse:
        """Check the call against the contract and let its endpoint answer."""
        self.provider.prepare(call)
        check_request(call)
        result = self._endpoints[call.operation.id](call)
        if isinstance(result, CoroutineType):
            result = await result
        return result if isinstance(result, ApiResponse) else ApiResponse(result, call.operation.status)

    async def _dispatch(self, outer: ApiCall, method: str, path: str, query: dict[str, Any], body: Any) -> ApiResponse:
        """Make another call in the world of the outer one, without limits and faults; an error is a response too."""
        call = None
        try:
            operation, path_parameters = self.provider.contract.routes.find(method, path)
            call = ApiCall(
                operation,
                method,
                path,
                path_parameters,
                query,
                outer.headers,
                outer.world,
                origin=outer.origin,
                root=outer.root,
            )
            call.credential = outer.credential
            call.body = {} if body is None and not operation.body_required else body
            return await self._answer(call)
        except ProviderError as error:
            return self.provider.refusal(call, error.problem)

    def _refuse(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """Render a problem as the provider does."""
        try:
            response = self.provider.failure(call, problem)
        except Exception as error:
            return self._fail(call, error)
        add_refusal_headers(response, problem)
        if (fault := problem.details.get("fault")) is not None:
            fault.change(response)
        return response

    def _fail(self, call: ApiCall | None, error: Exception) -> ApiResponse:
        """Log an exception that is no refusal, and answer with the provider's 500; raise it where strict."""
        log.exception("%s call failed", self.provider.name, exc_info=error)
        if self.strict:
            raise error
        if call is not None:
            call.world.note_breach(f"{self.provider.name} {call.operation.id}: {error!r}")
        return self.provider.failure(call, Problem("server_error"))

    def _complete(self, call: ApiCall | None, response: ApiResponse, *, is_checked: bool) -> tuple[ApiResponse, bytes]:
        """Add the headers of the rate limit, check the response if `is_checked`, encode it and save the world.

        Where one of these fails, the response is the provider's 500.
        """
        try:
            if call is not None:
                if call.allowance is not None:
                    response.headers = {**self.provider.limit_headers(call.allowance), **response.headers}
                # Any operation may ask the client to retry later, even where its contract does not name that status.
                if is_checked:
                    self.check_response(call, response, provoked=bool(call.faults) or RETRY_AFTER in response.headers)
            content = encode(response)
            if call is not None and self.worlds.keep is not None:
                self.worlds.keep(call.world)
        except ContractBreach:
            raise
        except Exception as error:
            response = self._fail(call, error)
            content = encode(response)
        return response, content
