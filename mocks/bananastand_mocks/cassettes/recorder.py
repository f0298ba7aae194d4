"""Passes requests on to a real service, and records what it answers."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from urllib.parse import quote

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import ApiResponse

from ..forward import AppUnreachable, RelayedResponse, relay
from ..kernel.call import ApiCall
from ..kernel.http_request import HttpRequest
from .bodies import Body, is_stream, media_type, pack, pack_stream
from .cassette import Cassette
from .player import Player, response_of
from .requests import ReceivedRequest, receive, scrub_body

__all__ = ["Recorder"]

log = logging.getLogger("bananastand_mocks")

UNREACHABLE = 502
MAX_STREAM = 64 * 2**20  # bytes of a stream that are recorded; what follows is only passed on
OF_THIS_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer")
    + ("transfer-encoding", "upgrade", "content-length", "content-encoding", "host")
)
OURS = frozenset(("access-control-allow-origin", "access-control-allow-credentials"))  # the handler adds its own


class Recorder:
    """Records one provider.

    Args:
        provider: Its name.
        base_url: Where the real service answers.
        cassette: Where the answers are written.
        player: Answers first what is recorded already; None to pass every request on.
        timeout: Seconds for each step of a request.
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        cassette: Cassette,
        player: Player | None = None,
        *,
        timeout: float = 300.0,
    ) -> None:
        self.provider, self.base_url = provider, base_url.rstrip("/")
        self._cassette, self._player, self._timeout = cassette, player, timeout

    async def answer(self, request: HttpRequest, call: ApiCall | None) -> ApiResponse:
        """Return the service's response. Raises ProviderError with status 502 where it does not answer."""
        received = receive(request, call, self._cassette.scrubber)
        if self._player is not None:
            world = call.world if call is not None else request.world
            if (interaction := self._player.find(received, world)) is not None:
                return response_of(interaction)
        headers = {name: value for name, value in request.headers.items() if name not in OF_THIS_HOP}
        if "content-encoding" in request.headers:
            headers["content-encoding"] = request.headers["content-encoding"]
        try:
            response = await relay(
                request.method,
                self._url(request),
                {**headers, "accept-encoding": "identity"},
                request.body,
                self._timeout,
            )
        except AppUnreachable as error:
            address = self._cassette.scrubber.text(self.base_url)
            message = f"{address} does not answer: {error}; check the address, or replay a cassette"
            raise ProviderError("fault", message, status=UNREACHABLE) from None
        sent = {name: value for name, value in response.headers.items() if name not in OF_THIS_HOP | OURS}
        content_type = sent.pop("content-type", "")
        if is_stream(content_type):
            pieces = self._record_stream(received, response, content_type)
            return ApiResponse(b"", response.status, sent, content_type, pieces)
        content = await response.read()
        self._record(received, response, pack(content, content_type), content, content_type)
        body = content if content or content_type else None
        return ApiResponse(body, response.status, sent, content_type or "application/octet-stream")

    async def _record_stream(
        self, received: ReceivedRequest, response: RelayedResponse, content_type: str
    ) -> AsyncGenerator[bytes]:
        """Pass the pieces of a body on as they come; what came until the client left is recorded, up to a size."""
        content = bytearray()
        try:
            async for piece in response.pieces():
                if len(content) < MAX_STREAM:
                    content += piece
                yield piece
        finally:
            text = content.decode("utf-8", "replace")
            self._record(received, response, pack_stream(text, content_type), bytes(content), content_type)

    def _record(
        self, received: ReceivedRequest, response: RelayedResponse, body: Body, content: bytes, content_type: str
    ) -> None:
        scrubber = self._cassette.scrubber
        headers = {name: value for name, value in response.headers.items() if name not in OF_THIS_HOP | OURS}
        scrubber.learn_headers(headers, of_request=False)
        if body is not None and "json" in body:
            scrubber.learn_value(body["json"])
            body = scrub_body(body, content, content_type, scrubber)
        elif body is not None and "events" in body:
            scrubber.learn_value(content.decode("utf-8", "replace"))
            body = pack_stream(scrubber.text(content.decode("utf-8", "replace")), content_type)
        elif body is not None:
            scrubber.learn_value(body.get("text", ""))
            body = pack(scrubber.content(content, media_type(content_type)), "")
        entry = {
            "provider": self.provider,
            "request": received.dump(),
            "response": {
                "status": response.status,
                "headers": scrubber.headers(headers, of_request=False),
                **({"body": body} if body is not None else {}),
            },
        }
        try:
            self._cassette.add(entry)
        except OSError as error:
            log.error("cassette %s could not be written: %s", self._cassette.path, error)

    def _url(self, request: HttpRequest) -> str:
        query = f"?{request.query}" if request.query else ""
        return f"{self.base_url}{request.raw_path or quote(request.path)}{query}"
