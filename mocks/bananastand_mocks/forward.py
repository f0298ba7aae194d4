"""Sends requests to an app, a language model or a service; apart from `conformance`, the one module that does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

# httpx2 is imported by the first request: it takes a tenth of the time in which the mocks start.

__all__ = ["AppResponse", "AppTimeout", "AppUnreachable", "RelayedResponse", "post", "relay"]

CONNECT_SECONDS = 5.0
MAX_RELAYED = 256 * 2**20  # bytes of a body
VIA = "1.1 bananastand"  # in the requests that are passed on: one that comes back goes round in a circle


class AppUnreachable(Exception):
    """There is no response; the text is the kind of error."""


class AppTimeout(AppUnreachable):
    """The app takes longer than it may."""


@dataclass(frozen=True, slots=True)
class AppResponse:
    """The response of an app.

    Attributes:
        status: The HTTP status.
        content_type: The value of that header.
        content: The body.
        json: The body's value; None where it is no JSON.
    """

    status: int
    content_type: str
    content: bytes
    json: Any = None


async def post(
    url: str,
    *,
    json: Any = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None,
) -> AppResponse:
    """Send a POST request.

    Args:
        url: The address.
        json: The body as a value.
        content: The body as bytes that are JSON already; then `json` is ignored.
        headers: Further headers.
        timeout: Seconds for each step of the request; None for no limit but that of the connection.

    Raises:
        AppTimeout: It took too long.
        AppUnreachable: There is no response for another reason.
    """
    import httpx2

    body: dict[str, Any] = {"json": json} if content is None else {"content": content}
    connect = CONNECT_SECONDS if timeout is None else min(CONNECT_SECONDS, timeout)
    try:
        async with httpx2.AsyncClient(timeout=httpx2.Timeout(timeout, connect=connect)) as http:
            response = await http.post(url, headers={"content-type": "application/json", **(headers or {})}, **body)
    except httpx2.TimeoutException as error:
        raise AppTimeout(type(error).__name__) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, AttributeError) as error:  # anyio's, for a socket that uvloop has lost
        raise AppUnreachable(type(error).__name__) from error
    try:
        value: Any = response.json()
    except ValueError:
        value = None
    content_type = response.headers.get("content-type", "text/plain; charset=utf-8")
    return AppResponse(response.status_code, content_type, response.content, value)


class RelayedResponse:
    """A response whose body has not been read yet; read it, or its pieces, to their end.

    Attributes:
        status: The HTTP status.
        headers: The headers, their names in lower case; those that came several times in one line.
    """

    def __init__(self, http: httpx2.AsyncClient, response: httpx2.Response) -> None:
        self._http, self._response = http, response
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the body as it comes, without compression, and close the connection at its end."""
        try:
            async for piece in self._response.aiter_bytes():
                yield piece
        finally:
            await self._response.aclose()
            await self._http.aclose()

    async def read(self) -> bytes:
        """Return the body. Raises AppUnreachable where it breaks off, or is too large."""
        import httpx2

        content = bytearray()
        try:
            async for piece in self.pieces():
                content += piece
                if len(content) > MAX_RELAYED:
                    raise AppUnreachable(f"its body has more than {MAX_RELAYED >> 20} MB")
        except httpx2.HTTPError as error:
            raise AppUnreachable(f"its body broke off ({type(error).__name__})") from error
        return bytes(content)


async def relay(method: str, url: str, headers: Mapping[str, str], content: bytes, timeout: float) -> RelayedResponse:
    """Send a request as it is, without following redirects.

    Args:
        method: The HTTP method.
        url: The address.
        headers: The headers.
        content: The body.
        timeout: Seconds for each step.

    Raises:
        AppUnreachable: There is no response.
    """
    import httpx2

    if VIA in headers.get("via", ""):
        raise AppUnreachable("the request came back to where it was sent from")
    via = ", ".join(part for part in (headers.get("via"), VIA) if part)
    http = httpx2.AsyncClient(timeout=httpx2.Timeout(timeout, connect=CONNECT_SECONDS * 2))
    try:
        request = http.build_request(method, url, headers={**headers, "via": via}, content=content or None)
        return RelayedResponse(http, await http.send(request, stream=True))
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError, AttributeError) as error:
        await http.aclose()
        raise AppUnreachable(" ".join(str(error).split()) or type(error).__name__) from error
