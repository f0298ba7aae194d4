"""The ports of the mocks: HTTP or HTTPS, and a forward proxy for clients that have the services' hosts built in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from bananastand.asgi.connection_limiter import ConnectionLimiter
from bananastand.asgi.limits import ConnectionLimits
from bananastand.asgi.listening import listen
from bananastand.asgi.protocol import ServerConfig

from .server import RESERVED, Server, dialect_of

if TYPE_CHECKING:
    from bananastand.forward_proxy.certificates import Authority, ServerTls
    from bananastand.forward_proxy.proxy import ForwardProxy

__all__ = ["LOOPBACK", "MockServer", "port_of"]

LOOPBACK = "127.0.0.1"
THIS_MACHINE = ("localhost", LOOPBACK, "::1")
ADVICE = "start the mocks with --tunnel to pass others on, or put them into NO_PROXY"


class MockServer(uvicorn.Server):
    """uvicorn over one or two ports, which are bound when it is made.

    Args:
        app: The application.
        host: The address of the main port.
        port: The main port; 0 for a free one.
        tls: Whether the main port speaks HTTPS instead of HTTP.
        proxy: The port of the forward proxy on this machine, 0 for a free one; None for no proxy.
        tunnel: Whether the proxy passes requests for other hosts on.
        folder: The folder of the certificate authority; used where there is TLS or a proxy.
        names: Host names of this machine that its certificate has beside localhost.
        limits: The limits of connections.
        raise_files: Whether to raise this process's limit of open files.
        say: Prints a line about the authority.

    Raises:
        OSError: A port cannot be bound, or the folder cannot be written.
    """

    def __init__(
        self,
        app: Server,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        tls: bool = False,
        proxy: int | None = None,
        tunnel: bool = False,
        folder: Path | None = None,
        names: Iterable[str] = (),
        limits: ConnectionLimits | None = None,
        raise_files: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        self.app, self._limits, self._tunnel = app, limits or ConnectionLimits(), tunnel
        limiter = ConnectionLimiter(self._limits, name="mocks", raise_files=raise_files)
        super().__init__(ServerConfig(app, limiter=limiter, dialect=dialect_of(app), reserved=RESERVED))
        self._tls, self._own_tls, self._proxy = _tls(app, folder, names, say) if folder else None, tls, None
        self._main = listen(host, port)
        self._proxy_listener = listen(LOOPBACK, proxy) if proxy is not None else None
        self._behind = [listen(LOOPBACK, 0), listen(LOOPBACK, 0)] if proxy is not None else []
        app.secure_ports.update(port_of(listener) for listener in self._behind[1:])

    @property
    def port(self) -> int:
        """The main port."""
        return port_of(self._main)

    @property
    def scheme(self) -> str:
        """The scheme of the main port: https with TLS, else http."""
        return "https" if self._own_tls else "http"

    @property
    def proxy_url(self) -> str | None:
        """The address of the forward proxy; None where there is none."""
        return f"http://{LOOPBACK}:{port_of(self._proxy_listener)}" if self._proxy_listener is not None else None

    @property
    def authority(self) -> Authority | None:
        """The authority that clients must trust; None without TLS and proxy."""
        return self._tls.authority if self._tls is not None else None

    def node_hook(self, folder: Path) -> Path | None:
        """Write the module that redirects connections of an older Node; None without a proxy."""
        if self._proxy_listener is None:
            return None
        from bananastand.forward_proxy.node_hook import write_node_hook

        plain, secure = (LOOPBACK, port_of(self._behind[0])), (LOOPBACK, port_of(self._proxy_listener))
        return write_node_hook(folder, self.app.hosts.names, plain, secure)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen on all ports."""
        plain = self._behind if self._own_tls else [self._main, *self._behind]
        await super().startup(plain)
        if self._own_tls and self._tls is not None:
            loop = asyncio.get_running_loop()
            self.servers.append(await loop.create_server(self._protocol, sock=self._main, ssl=self._tls.context()))
        if self._proxy_listener is not None and self._tls is not None:
            self._proxy = self._forward_proxy(self._tls)
            self._proxy.start(self._proxy_listener)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all ports."""
        if self._proxy is not None:
            await self._proxy.close()
        await super().shutdown(sockets)

    def close(self) -> None:
        """Close the sockets; for a server that has ended, or was never run."""
        for listener in (self._main, self._proxy_listener, *self._behind):
            if listener is not None:
                with contextlib.suppress(OSError):
                    listener.close()

    def _protocol(self) -> asyncio.Protocol:
        protocol: Any = self.config.http_protocol_class
        return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _forward_proxy(self, tls: ServerTls) -> ForwardProxy:
        from bananastand.forward_proxy.proxy import ForwardProxy

        plain, secure = ((LOOPBACK, port_of(listener)) for listener in self._behind)
        limiter = ConnectionLimiter(replace(self._limits, reserve=0), name="the forward proxy")
        names = self.app.hosts.names
        return ForwardProxy(names, plain, secure, tls.context, limiter, tunnels=self._tunnel, advice=ADVICE)


def port_of(listener: socket.socket) -> int:
    """Return the port of a bound socket."""
    return listener.getsockname()[1]


def _tls(app: Server, folder: Path, names: Iterable[str], say: Callable[[str], None]) -> ServerTls:
    from bananastand.forward_proxy.certificates import ServerTls
    from bananastand.forward_proxy.host_names import HostNames

    hosts = app.hosts.names
    return ServerTls(folder, HostNames((*THIS_MACHINE, *names, *hosts.exact), hosts.parents), say)
