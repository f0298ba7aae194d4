"""Runs a stand for `bananastand up`: its data, its APIs, one uvicorn for all its ports. Decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import shlex
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from rich.console import Console

from bananastand.asgi.connection_limiter import ConnectionLimiter
from bananastand.asgi.limits import ConnectionLimits
from bananastand.asgi.listening import listen
from bananastand.asgi.protocol import ServerConfig
from bananastand.platform.building.builder import passed_secrets, source_builder
from bananastand.platform.building.deployer import Builder
from bananastand.platform.errors import PlatformError
from bananastand.platform.http.app import StandServer
from bananastand.platform.http.banana_runtime import PlatformRuntime
from bananastand.platform.http.certificates import ServerTls
from bananastand.platform.http.dialects import RESERVED, dialect_of_platform
from bananastand.platform.http.forward_proxy import ForwardProxy
from bananastand.platform.http.node_hook import node_options, write_node_hook
from bananastand.platform.http.pushes import GITHUB, git_app, github_app
from bananastand.platform.platform import Platform
from bananastand.platform.replicas.isolation import describe
from bananastand.platform.replicas.start_command import MARK
from bananastand.platform.settings import Settings, cards, default_data
from bananastand.platform.store.keys import FIRST, api_token, write_client_file
from bananastand.platform.store.private_files import UMASK, protect_memory
from bananastand_mocks.kernel.provider import Provider
from bananastand_mocks.providers import NAMES
from bananastand_mocks.server import Server, create_apps, dialect_of

__all__ = ["Options", "run"]

BANANA = ("bananadev", "banana-native")
LOOPBACK = "127.0.0.1"
OPEN = ("/lowcodeapi/falai", "/fal", "/gobananas", "/paperbanana", "/w")  # the mocks' own, with CORS of their own


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. `fronts` are pairs of a port and a project."""

    port: int
    host: str = LOOPBACK
    hosts: tuple[str, ...] = ()
    data: Path | None = None
    fronts: tuple[tuple[int, str], ...] = ()
    proxy: int | None = None
    mocks: bool = False
    roots: tuple[Path, ...] = ()
    memory_mb: int | None = None
    max_connections: int | None = None
    queue: int = 10_000
    queue_mb: int = 4096
    build_timeout: float = 1800.0
    start_timeout: float = 600.0
    github_secret: str | None = field(default=None, repr=False)
    processes: int | None = 4096
    disk_gb: int | None = None  # GiB that the data directory may take
    isolation: str = "auto"
    network: str = "machine"  # or "none"
    passed: tuple[str, ...] = ()  # names of variables for all builds and replicas


def run(options: Options, builder: Builder | None = None) -> int:
    """Until SIGTERM or Ctrl-C; the exit status."""
    os.umask(UMASK)
    protect_memory()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    data = (options.data or default_data()).expanduser().resolve()
    console = Console(highlight=False, soft_wrap=True)
    try:
        secrets = passed_secrets(data, options.passed)
    except PlatformError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    settings = Settings(
        data=data,
        secrets=secrets,
        gpus=cards(),
        memory_mb=options.memory_mb,
        max_connections=options.max_connections,
        queue_length=options.queue,
        queue_bytes=options.queue_mb * 2**20,
        build_timeout=options.build_timeout,
        start_timeout=options.start_timeout,
        processes=options.processes,
        disk_budget=options.disk_gb * 2**30 if options.disk_gb is not None else None,
        isolation=options.isolation,
        network=options.network == "machine",
    )
    try:
        sockets = [listen(options.host, options.port), *(listen(LOOPBACK, port) for port, _ in options.fronts)]
        proxy = listen(LOOPBACK, options.proxy) if options.proxy is not None else None
    except OSError as error:
        console.print(f"error: cannot listen on {error.filename}: {error.strerror}; {_another_port(options, error)}",
                      style="red", markup=False)  # fmt: skip
        return 1
    try:
        chosen = builder or source_builder(settings.data, options.roots or (Path.home(), Path.cwd()), options.isolation)
        _runner()(_serve(options, settings, chosen, sockets, proxy, console))
    except KeyboardInterrupt:
        return 130
    except PlatformError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    finally:
        for each in (*sockets, *((proxy,) if proxy is not None else ())):
            each.close()
    return 0


async def _serve(
    options: Options,
    settings: Settings,
    builder: Builder,
    sockets: list[socket.socket],
    proxy: socket.socket | None,
    console: Console,
) -> None:
    stand = Platform(settings, builder)
    os.environ[MARK] = stand.store.id  # what builds start is an orphan too, if this process is killed
    try:
        for line in await stand.start():
            console.print(line)
        url = f"http://{_named(options.host)}:{sockets[0].getsockname()[1]}"
        fronts = {each.getsockname()[1]: name for each, (_, name) in zip(sockets[1:], options.fronts, strict=True)}
        secure = listen(LOOPBACK, 0) if proxy is not None else None
        app, providers = _application(
            stand, options, fronts, url, [secure.getsockname()[1]] if secure is not None else []
        )
        _welcome(console, stand, url, fronts, options.mocks)
        limiter = ConnectionLimiter(
            ConnectionLimits(connections=settings.max_connections), name="the platform", raise_files=True
        )
        dialect = dialect_of_platform(dialect_of(providers), fronts)
        config = ServerConfig(
            app, limiter=limiter, dialect=dialect, reserved=RESERVED, lifespan="off", ws_max_size=settings.max_message
        )
        server = _Server(config, stand)
        if proxy is None or secure is None:
            await server.serve(sockets)
        else:
            async with _proxy(proxy, sockets[0], secure, options, settings, console, limiter):
                await server.serve([*sockets, secure])
        console.print("stopping")
    finally:
        await stand.close()


@contextlib.asynccontextmanager
async def _proxy(
    listener: socket.socket,
    plain: socket.socket,
    secure: socket.socket,
    options: Options,
    settings: Settings,
    console: Console,
    limiter: ConnectionLimiter,
) -> AsyncGenerator[None]:
    """Serve the forward proxy meanwhile, and say how programs are led to it."""
    tls = ServerTls(settings.data / "proxy", lambda line: console.print(line, markup=False))
    http, port = (_named(options.host).strip("[]"), plain.getsockname()[1]), listener.getsockname()[1]
    # Of a connection through the proxy there are two more behind it.
    limits = ConnectionLimits(connections=max(16, limiter.max_connections // 4), reserve=0)
    proxy = ForwardProxy(
        http, (LOOPBACK, secure.getsockname()[1]), tls.context, ConnectionLimiter(limits, name="the forward proxy")
    )
    hook = write_node_hook(settings.data / "proxy", http, (LOOPBACK, port))
    proxy.start(listener)
    address, authority = f"http://{LOOPBACK}:{port}", tls.authority
    console.print("  Banana's own names, for programs that have them built in:")
    for name, value in (
        *((name, address) for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")),
        ("SSL_CERT_FILE", authority.bundle),
        ("REQUESTS_CA_BUNDLE", authority.bundle),
        ("NODE_EXTRA_CA_CERTS", authority.certificate),
    ):
        console.print(f"    export {name}={shlex.quote(str(value))}", markup=False)
    more = '"${NODE_OPTIONS:+ $NODE_OPTIONS}"'
    console.print(f"    export NODE_OPTIONS={shlex.quote(node_options(hook))}{more}", markup=False)
    try:
        yield
    finally:
        await proxy.close()


def _application(
    stand: Platform, options: Options, fronts: dict[int, str], url: str, secure: list[int]
) -> tuple[StandServer, dict[str, Provider]]:
    """Everything on one port, and the providers by their mounts."""
    runtime = PlatformRuntime(stand)
    worlds, apps = create_apps(BANANA, runtime=runtime, lookup=runtime.opens, body_memory=stand.settings.body_memory)
    runtime.attach(worlds.default)
    others = Server([each for each in NAMES if each not in BANANA], hosts=options.hosts) if options.mocks else None
    pushed = {"/git": git_app(stand, url), GITHUB: github_app(stand, options.github_secret)}
    providers = {mount: each.provider for mount, each in apps.items()}
    server = StandServer(
        stand,
        {**apps, **pushed},
        fronts=fronts,
        hosts=options.hosts,
        open_to=OPEN if options.mocks else (),
        private=not _is_loopback(options.host),
        rest=others,
        secure=secure,
    )
    return server, {**providers, **(others.providers if others is not None else {})}


class _Server(uvicorn.Server):
    """uvicorn that, when it is told to stop, tells those who wait and leaves the log streams of its callers."""

    def __init__(self, config: uvicorn.Config, stand: Platform) -> None:
        super().__init__(config)
        self._stand = stand

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal."""
        self._stand.release_waiters()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """On this loop, and not for the replicas: they have sessions of their own."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def _welcome(console: Console, stand: Platform, url: str, fronts: dict[int, str], mocks: bool) -> None:
    """Say where it is, and the first key, once."""
    console.print(f"[bold]Bananastand[/bold] at {url}/   data in {stand.settings.data}")
    console.print(f"  Banana.dev            {url}/banana")
    console.print(f"  through LowCodeAPI    {url}/lowcodeapi/bananadev")
    console.print(f"  git push              {url}/git/PROJECT.git (a key is the password)")
    if mocks:
        console.print(f"  the other mocks       {url}/_stand/")
    console.print(f"  {describe(stand.settings.isolation, network=stand.settings.network)}", markup=False)
    if (problem := stand.pool.use_cgroups()) is not None and stand.settings.memory_mb is not None:
        console.print(f"  memory: watched once a second, not bounded by the kernel ({problem})", markup=False)
    if names := sorted(stand.settings.secrets):
        console.print(f"  passed to every app   {', '.join(names)}", markup=False)
    for port, project in fronts.items():
        console.print(f"  {project:<20}  http://{LOOPBACK}:{port}/ (no key)", markup=False)
    if stand.keys.ids:
        write_client_file(stand.settings.data, url)
        console.print(f"  keys: {len(stand.keys.ids)} valid; new ones: bananastand keys create")
        return
    _, secret = stand.keys.create(FIRST)
    path = write_client_file(stand.settings.data, url, secret)
    if not console.is_terminal:  # a journal keeps what is printed, and others read it
        console.print(f"  key                   in {path}, for this user alone; not printed, as this is no terminal")
        console.print("  LowCodeAPI api_token  at_r and the key's 32 hexadecimal digits")
        return
    console.print(f"  key                   [bold]{secret}[/bold]  (shown once; this machine's commands read it in")
    console.print(f"                        {path})", markup=False)
    console.print(f"  LowCodeAPI api_token  {api_token(secret)}")


def _another_port(options: Options, error: OSError) -> str:
    """The command that takes the next port in place of the one that is not free."""
    port = int(str(error.filename).rpartition(":")[2])
    fronts = dict(options.fronts)
    if port != options.port and port in fronts:
        return f"take another: bananastand up --front {port + 1}={fronts[port]}"
    return f"take another: bananastand up --port {port + 1}"


def _runner() -> Any:
    """The quicker event loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _named(host: str) -> str:
    """How this machine's own commands reach it."""
    if host in ("0.0.0.0", "::"):
        return LOOPBACK
    return f"[{host}]" if ":" in host else host
