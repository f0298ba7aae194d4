"""Takes HTTP calls for one provider, and writes their journal. Knows ASGI, no provider.

This is the hot path: plain ASGI, no middleware. FastAPI stands around it (see `app`), not in it.
"""

from __future__ import annotations

from typing import Any

from bananastand.asgi.bodies import BodyBudget
from bananastand.contracts.errors import ProviderError
from bananastand.contracts.parameters import parse_query
from bananastand.contracts.response import JSON, ApiResponse

from .call import ApiCall
from .delivery import Headers, Receive, Send, deliver, deliver_pieces, stall
from .errors import ContractBreach
from .provider import Provider
from .redaction import hide, redact, redact_text
from .service import Service
from .world import World

__all__ = ["Wire"]

RETRY_AFTER, AGAIN = "retry-after", 5  # seconds
DRAINED = 32 * 2**20  # of a body that is too large; then the connection is closed on its sender


class _Gone(Exception):
    """The caller left before its body was there."""


class _Taken:
    """What one request holds of the server's memory for bodies."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget, self._size = budget, 0

    def take(self, more: int) -> None:
        """Raises ProviderError: fault, where all bodies together hold too much."""
        if not self._budget.take(self._size, more):
            raise ProviderError("fault", "too much is being sent: try again later", status=503, retry_after=AGAIN)
        self._size += more

    def free(self) -> None:
        self._budget.free(self._size)
        self._size = 0


class Wire:
    """ASGI for one service."""

    def __init__(self, service: Service) -> None:
        self._budget = service.worlds.bodies
        self._service = service
        self._provider: Provider = service.provider
        self._base: Headers = [(b"access-control-allow-origin", b"*")] if self._provider.cors == "*" else []

    async def __call__(
        self, scope: Any, receive: Receive, send: Send, path: str, root: str, pinned: World | None
    ) -> None:
        """Answer one HTTP call. `path` is below `root`; `pinned` is the world that the address names, if it does."""
        method: str = scope["method"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        call: ApiCall | None = None
        raw, taken = b"", _Taken(self._budget)
        try:
            if method == "OPTIONS" and "access-control-request-method" in headers:
                await deliver(send, 204, self._preflight(headers), b"", ())
                return
            if early := self._provider.early(method, path, headers):
                answer = early
            else:
                try:
                    call = self._service.find(method, path, query, headers, pinned)
                    call.origin = f"{scope.get('scheme', 'http')}://{headers.get('host', 'localhost')}"
                    call.root = root
                except ProviderError:
                    raw = await self._body(method, headers, receive, taken)
                    raise
                answer = await self._answer(call, method, headers, receive, pinned, taken)
        except _Gone:
            return
        except ProviderError as error:
            answer = self._refused(call, error)
        except Exception as error:
            answer = self._service.crashed(call, error)
        finally:
            taken.free()
        answer, body = self._finished(call, answer)
        self._record(call, method, path, query, headers, raw, answer, body, pinned)
        faults = call.faults if call is not None else ()
        if faults:
            await stall(faults)
        heads = self._headers(answer, body, headers)
        if answer.pieces is not None:
            await deliver_pieces(send, receive, answer.status, heads, answer.pieces)
            return
        await deliver(send, answer.status, heads, b"" if method == "HEAD" else body, faults)

    def _refused(self, call: ApiCall | None, error: ProviderError) -> ApiResponse:
        try:
            answer = self._provider.failure(call, error.problem)
        except Exception as mistake:
            return self._service.crashed(call, mistake)
        if (seconds := error.problem.details.get("retry_after")) is not None:
            answer.headers = {**answer.headers, RETRY_AFTER: str(seconds)}
        if answer.status == 405 and (allowed := error.problem.details.get("allowed")):
            answer.headers = {**answer.headers, "allow": ", ".join(allowed)}
        return answer

    def _finished(self, call: ApiCall | None, answer: ApiResponse) -> tuple[ApiResponse, bytes]:
        """The answer and its bytes, held to the contract and its world written; or a 500 where one of these fails."""
        try:
            if call is not None and call.allowance is not None:
                answer.headers = {**self._provider.limit_headers(call.allowance), **answer.headers}
            if call is not None:
                # When to come again is said by the server, whatever the contract knows.
                self._service.check(call, answer, provoked=bool(call.faults) or RETRY_AFTER in answer.headers)
            body = self._service.encode(answer)
            if call is not None and self._service.worlds.keep is not None:
                self._service.worlds.keep(call.world)
        except ContractBreach:
            raise
        except Exception as error:
            answer = self._service.crashed(call, error)
            body = self._service.encode(answer)
        return answer, body

    async def _answer(
        self, call: ApiCall, method: str, headers: dict[str, str], receive: Receive, pinned: World | None, taken: _Taken
    ) -> ApiResponse:
        service = self._service
        call.enter(pinned or service.worlds.default, None)
        call.raw = await self._body(method, headers, receive, taken)
        if self._provider.parse_first:
            service.read(call)
        service.authenticate(call, pinned)
        if len(call.world.faults):
            call.faults = call.world.faults.strike(call.operation.id)
        if not self._provider.parse_first:
            service.read(call)
        return await service.perform(call)

    async def _body(self, method: str, headers: dict[str, str], receive: Receive, taken: _Taken) -> bytes:
        """The body, counted as it arrives.

        Raises ProviderError: too_large, after the rest was thrown away; fault, where all bodies together hold too much.
        """
        if method in ("GET", "HEAD") and "content-length" not in headers and "transfer-encoding" not in headers:
            return b""
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body: bytes = message.get("body", b"")
        limit, more = self._provider.max_body, message.get("more_body", False)
        if not more and len(body) <= limit:
            return body
        chunks, size = [body], len(body)
        taken.take(len(body))
        while more and size <= limit + DRAINED:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size <= limit:
                taken.take(len(chunk))
                chunks.append(chunk)
        if size > limit:
            raise ProviderError("too_large", "request entity too large", limit=limit)
        return b"".join(chunks)

    def _headers(self, answer: ApiResponse, body: bytes, asked: dict[str, str]) -> Headers:
        headers = self._base.copy()
        if answer.pieces is None and not (answer.body is None and answer.status == 204):
            headers.append((b"content-length", str(len(body)).encode()))
        if answer.body is not None:
            kind = self._provider.json_type if answer.content_type == JSON else answer.content_type
            headers.append((b"content-type", kind.encode("latin-1")))
        for name, value in answer.headers.items():
            headers.append((name.encode("latin-1"), value.encode("latin-1")))
        if self._provider.cors == "reflect" and "origin" in asked:
            headers += _reflected(asked["origin"])
        return headers

    def _preflight(self, asked: dict[str, str]) -> Headers:
        headers = self._base.copy() if self._base else _reflected(asked.get("origin", "*"))
        headers.append((b"access-control-allow-methods", b"GET,HEAD,PUT,PATCH,POST,DELETE"))
        if wanted := asked.get("access-control-request-headers"):
            headers.append((b"access-control-allow-headers", wanted.encode("latin-1")))
        return headers

    def _record(
        self,
        call: ApiCall | None,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        raw: bytes,
        answer: ApiResponse,
        body: bytes,
        pinned: World | None,
    ) -> None:
        """Journal and coverage, in the call's world, or in that of the address where it found none."""
        world = call.world if call is not None else pinned or self._service.worlds.default
        given = call.query if call is not None else parse_query(query)
        raw = call.raw if call is not None else raw
        content = _content(call, raw)
        if call is not None:
            named = {*call.query, *call.path, *headers, *_keys(content)} & call.operation.parameters
            world.coverage.record(self._provider.name, call.operation.id, answer.status, named)
        if not world.journal.budget:
            return
        where = redact_text(call.target if call is not None else path)
        given, content = redact(given), redact(content)
        told = redact({name: value for name, value in headers.items() if name != "host"})
        heads = "\n".join((where, *map(str, given.values()), *told.values()))
        secrets = [each for each in world.secrets() if each in heads or each.encode() in raw or each.encode() in body]
        if secrets:
            where, given, told, content, body = (hide(each, secrets) for each in (where, given, told, content, body))
        world.journal.record(
            world.clock.now(),
            self._provider.name,
            call.operation.id if call is not None else None,
            method,
            where,
            given,
            told,
            content,
            len(raw),
            answer.status,
            body,
            tuple(fault.kind for fault in call.faults) if call is not None else (),
            head_bytes=len(path) + len(query) + sum(map(len, headers)) + sum(map(len, headers.values())),
        )


def _content(call: ApiCall | None, raw: bytes) -> Any:
    """A body as the journal keeps it: JSON, or text without secrets; bytes only by their number."""
    if not raw:
        return None
    if call is not None and call.body:
        return call.body
    try:
        return redact_text(raw[:10_000].decode("utf-8"))
    except UnicodeDecodeError:
        return f"[{len(raw)} bytes]"


def _keys(content: Any) -> list[str]:
    return list(content) if isinstance(content, dict) else []


def _reflected(origin: str) -> Headers:
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]
