"""An HTTP request to a provider, before its operation is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .world import World

__all__ = ["PINNED", "HttpRequest"]

PINNED = "bananastand.world"  # in an ASGI scope: the world that the address names


class HttpRequest:
    """The parts of an ASGI scope that the handler uses.

    Attributes:
        method: The HTTP method.
        path: The path below the provider's mount; at least a slash.
        query: The query string.
        headers: The headers, their names in lower case.
        origin: Scheme and host that the client used.
        root: The path below which the provider is mounted.
        pinned: The world that the address names; None where it names none.
        world: The pinned world, else the default one.
        body: The bytes of the body, once they are read.
        raw_path: The path below the mount as it was sent, with its escapes; empty where the server does not say.
        stub: The number of the stub that answered; None where the provider did.
        has_met_stubs: Whether the request was compared with its world's stubs.
    """

    __slots__ = (
        "body",
        "has_met_stubs",
        "headers",
        "method",
        "origin",
        "path",
        "pinned",
        "query",
        "raw_path",
        "root",
        "stub",
        "world",
    )

    def __init__(self, scope: Any, default: World) -> None:
        self.method: str = scope["method"]
        self.root: str = scope.get("root_path", "")
        path: str = scope["path"]
        self.path = (path.removeprefix(self.root) if self.root else path) or "/"
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.origin = f"{scope.get('scheme', 'http')}://{self.headers.get('host', 'localhost')}"
        self.pinned: World | None = scope.get(PINNED)
        self.world = self.pinned or default
        self.body = b""
        self.stub: int | None = None
        self.has_met_stubs = False
        raw: bytes = scope.get("raw_path") or b""
        self.raw_path = raw.decode("latin-1").removeprefix(self.root)

    @property
    def base(self) -> str:
        """The address of the provider's mount, as the client used it."""
        return f"{self.origin}{self.root}"

    @property
    def is_preflight(self) -> bool:
        """Whether a browser asks for permission to send another request."""
        return self.method == "OPTIONS" and "access-control-request-method" in self.headers
