"""Answers calls to one provider: the way from bytes to world, contract, endpoint and back. Never names a provider.

Conditions of the kernel's own, which every provider's `failure` renders: unknown_route, wrong_method, malformed_json,
too_deep, too_large, unauthorized, unknown_credential, rate_limited, violation, fault, server_error.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Any

from bananastand.contracts.errors import Problem, ProviderError, Violation
from bananastand.contracts.json_body import MalformedJson, TooDeep, dump, parse
from bananastand.contracts.parameters import parse_query
from bananastand.contracts.response import ApiResponse

from .call import ApiCall
from .errors import ContractBreach
from .faults import Fault
from .provider import Provider
from .world import World
from .worlds import Worlds

__all__ = ["Service"]

log = logging.getLogger("bananastand_mocks")

Bound = Callable[["_Exchange"], Any]


class Service:
    """One provider over all worlds of a server.

    With `strict` an answer that does not fit the contract is raised as ContractBreach; else it is logged. It is noted
    in its world's `breaches` either way.
    """

    def __init__(self, provider: Provider, worlds: Worlds, *, strict: bool = False) -> None:
        self.provider, self.worlds, self.strict = provider, worlds, strict
        self._bound = {name: self._bind(endpoint) for name, endpoint in provider.endpoints.items()}
        missing = sorted(provider.contract.by_id.keys() - self._bound.keys())
        unknown = sorted(self._bound.keys() - provider.contract.by_id.keys())
        if missing or unknown:
            raise ContractBreach(f"{provider.name}: no endpoint for {missing}, no operation for {unknown}")

    def find(self, method: str, path: str, query: str, headers: dict[str, str], pinned: World | None) -> ApiCall:
        """The call that is being made, without its body. Raises ProviderError."""
        path, query = self.provider.rewrite(path, query, pinned or self.worlds.default)
        operation, places = self.provider.contract.routes.find(method, path)
        return ApiCall(operation, method, path, dict(places), parse_query(query) if query else {}, headers)

    def read(self, call: ApiCall) -> None:
        """Parse the body. Raises ProviderError."""
        if not call.operation.takes_json or self._as_bytes(call):
            return
        if not call.raw:
            call.body = None if call.operation.body_required else {}
            return
        if "json" not in call.headers.get("content-type", "json"):
            call.body = {}  # what Express's and Flask's parsers leave where they do not parse
            return
        try:
            call.body = parse(call.raw)
        except TooDeep as error:
            raise ProviderError("too_deep", str(error)) from None
        except MalformedJson as error:
            raise ProviderError("malformed_json", str(error)) from None
        if self.provider.objects_only and not isinstance(call.body, dict | list):
            raise ProviderError("malformed_json", "Unexpected token: an object or an array is expected")

    def authenticate(self, call: ApiCall, pinned: World | None) -> None:
        """Find the call's world. Raises ProviderError, the call then being in the pinned or default world."""
        call.enter(pinned or self.worlds.default, None)
        if (carried := self.provider.secret(call)) is None:
            return
        world = self.worlds.holding(*carried)
        if world is None or (pinned is not None and world is not pinned):
            raise ProviderError("unknown_credential")
        call.enter(world, carried[1])

    async def perform(self, call: ApiCall) -> ApiResponse:
        """Everything between authentication and the answer on the wire. Raises ProviderError."""
        world = call.world
        if world.clock.run_due() and self.worlds.keep is not None:
            self.worlds.keep(world)
        # What asks for no key, such as a health check, has no limit unless its contract says so.
        limited = call.credential is not None or call.operation.names(429)
        if limited and (subject := self.provider.subject(call)) is not None:
            call.allowance = world.limits.take(self.provider.name, subject, world.clock.now())
        if call.allowance is not None and not call.allowance.allowed:
            raise ProviderError("rate_limited", allowance=call.allowance)
        if call.faults:
            _strike(call.faults)
        return self.provider.success(call, await self._endpoint(call))

    async def _endpoint(self, call: ApiCall) -> ApiResponse:
        """Check the call against the contract and have its endpoint answer."""
        operation = call.operation
        self.provider.prepare(call)
        exchange = _Exchange(self, call)
        violations: list[Violation] = []
        exchange.parameters.update(operation.path.read(call.path, violations))
        exchange.parameters.update(operation.query.read(call.query, violations))
        exchange.parameters.update(operation.headers.read(call.headers, violations))
        if operation.takes_json and self._as_bytes(call):
            pass  # the endpoint reads call.raw
        elif operation.takes_json and call.body is None and operation.body_required:
            violations.append(Violation("body", "", "required", "a body is required"))
        elif operation.takes_json:
            operation.check_body(call.body, violations)
        if violations:
            raise _violated(violations)
        result = self._bound[operation.id](exchange)
        if isinstance(result, Awaitable):
            result = await result
        return result if isinstance(result, ApiResponse) else ApiResponse(result, operation.status)

    async def dispatch(self, call: ApiCall, method: str, path: str, query: dict[str, Any], body: Any) -> ApiResponse:
        """Make another call in the same world, in process; errors are answers too. No limit or fault applies."""
        inner: ApiCall | None = None
        try:
            operation, places = self.provider.contract.routes.find(method, path)
            inner = ApiCall(
                operation, method, path, dict(places), query, call.headers, origin=call.origin, root=call.root
            )
            inner.body = {} if body is None and not operation.body_required else body
            inner.enter(call.world, call.credential)
            return await self._endpoint(inner)
        except ProviderError as error:
            return self.provider.refusal(inner, error.problem)

    def check(self, call: ApiCall, answer: ApiResponse, *, provoked: bool) -> None:
        """Hold an answer to the contract. A provoked fault may have a status the contract does not know."""
        if provoked and not call.operation.names(answer.status):
            return
        breach = call.operation.check_response(answer)
        if breach is None:
            return
        told = f"{self.provider.name} {call.operation.id}: {breach}"
        call.world.breach(told)
        log.error("the mock's own answer is against its contract: %s", told)
        if self.strict:
            raise ContractBreach(told)

    def encode(self, answer: ApiResponse) -> bytes:
        """The body's bytes."""
        if answer.body is None:
            return b""
        return answer.body if isinstance(answer.body, bytes) else dump(answer.body)

    def crashed(self, call: ApiCall | None, error: Exception) -> ApiResponse:
        """The provider's own 500 for a mistake of ours, which is logged; raised where `strict`."""
        log.exception("an endpoint of %s failed", self.provider.name, exc_info=error)
        if self.strict:
            raise error
        if call is not None:
            call.world.breach(f"{self.provider.name} {call.operation.id}: {error!r}")
        return self.provider.failure(call, Problem("server_error"))

    def _as_bytes(self, call: ApiCall) -> bool:
        """Whether the body is of another type than JSON that the contract names."""
        kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        return bool(call.raw) and kind in call.operation.body_types and "json" not in kind

    def _bind(self, endpoint: Callable[..., Any]) -> Bound:
        """The endpoint as a function of an exchange, its parameter names looked up once."""
        names = list(inspect.signature(endpoint).parameters)
        unknown = [name for name in names if name not in _INJECTED and name not in self.provider.resources]
        if unknown:
            raise ContractBreach(f"{self.provider.name}: {endpoint.__name__} asks for {', '.join(unknown)}")
        if not names:
            return lambda exchange: endpoint()
        fixed = {name: self.provider.resources[name] for name in names if name not in _INJECTED}
        if not fixed and len(names) > 1:
            fetch = attrgetter(*names)
            return lambda exchange: endpoint(*fetch(exchange))
        return lambda exchange: endpoint(*[fixed[name] if name in fixed else getattr(exchange, name) for name in names])


class _Exchange:
    """What endpoints can ask for, by name."""

    __slots__ = ("_service", "call", "parameters")

    def __init__(self, service: Service, call: ApiCall) -> None:
        self._service, self.call = service, call
        self.parameters: dict[str, Any] = {}

    @property
    def world(self) -> World:
        return self.call.world

    @property
    def body(self) -> Any:
        return self.call.body

    async def dispatch(self, method: str, path: str, query: dict[str, Any], body: Any) -> ApiResponse:
        return await self._service.dispatch(self.call, method, path, query, body)


_INJECTED = frozenset(("world", "parameters", "body", "call", "dispatch"))


def _strike(faults: list[Fault]) -> None:
    """Raise the first fault that is a status; the others are a matter of delivery."""
    for fault in faults:
        if fault.kind == "status":
            raise ProviderError("fault", fault.message, status=fault.status)


def _violated(violations: list[Violation]) -> ProviderError:
    error = ProviderError("violation", violations[0].message)
    error.problem = Problem("violation", violations[0].message, tuple(violations))
    return error
