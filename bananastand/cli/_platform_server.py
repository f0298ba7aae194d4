"""Runs the platform for `bananastand up`: its data directory, its application, one uvicorn for all its ports."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from rich.console import Console

from bananastand.asgi.connection_limiter import ConnectionLimiter
from bananastand.asgi.limits import ConnectionLimits
from bananastand.asgi.listening import listen
from bananastand.asgi.protocol import ServerConfig
from bananastand.forward_proxy.certificates import ServerTls
from bananastand.forward_proxy.node_hook import write_node_hook
from bananastand.forward_proxy.proxy import ForwardProxy
from bananastand.forward_proxy.variables import export_lines, proxy_variables
from bananastand.platform.building.builder import passed_secrets, source_builder
from bananastand.platform.building.deployer import Builder
from bananastand.platform.errors import PlatformError
from bananastand.platform.http.dialects import RESERVED
from bananastand.platform.http.run_hosts import BANANA_HOSTS
from bananastand.platform.platform import MakeNodes, Platform
from bananastand.platform.replicas.start_command import PLATFORM_VARIABLE
from bananastand.platform.settings import Settings, default_data, list_gpus
from bananastand.platform.store.private_files import UMASK, protect_memory

from ._platform_application import platform_application
from ._platform_cluster import nodes_of
from ._platform_options import LOOPBACK, Options
from ._platform_service import Service
from ._platform_welcome import print_welcome

__all__ = ["Options", "run"]


def run(options: Options, builder: Builder | None = None, **changed: Any) -> int:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        options: The command line's.
        builder: Builds apps; None for the one that the options name.
        changed: Settings that have no option.

    Returns:
        The exit status.
    """
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
        blobs=options.blobs,
        secrets=secrets,
        gpus=list_gpus(),
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
        database=options.database,
    )
    settings = replace(settings, **changed)
    try:
        sockets = [listen(options.host, options.port), *(listen(LOOPBACK, port) for port, _ in options.fronts)]
        proxy = listen(LOOPBACK, options.proxy) if options.proxy is not None else None
    except OSError as error:
        advice = _another_port(options, error)
        message = f"error: cannot listen on {error.filename}: {error.strerror}; {advice}"
        console.print(message, style="red", markup=False)
        return 1
    try:
        roots = options.roots or (Path.home(), Path.cwd())
        builder = builder or source_builder(settings.data, roots, options.isolation)
        with nodes_of(options.cluster, settings.data, console) as make_nodes:
            _runner()(_serve(options, settings, builder, make_nodes, sockets, proxy, console))
    except asyncio.CancelledError:  # SIGTERM before it served
        return 0
    except KeyboardInterrupt:
        return 130
    except PlatformError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    finally:
        for listener in (*sockets, *((proxy,) if proxy is not None else ())):
            listener.close()
    return 0


async def _serve(
    options: Options,
    settings: Settings,
    builder: Builder,
    make_nodes: MakeNodes,
    sockets: list[socket.socket],
    proxy: socket.socket | None,
    console: Console,
) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    url = f"http://{_local_name(options.host)}:{sockets[0].getsockname()[1]}"
    projects = [name for _, name in options.fronts]
    fronts = {listener.getsockname()[1]: project for listener, project in zip(sockets[1:], projects, strict=True)}
    secure = listen(LOOPBACK, 0) if proxy is not None else None
    ports = [secure.getsockname()[1]] if secure is not None else []
    service = await _opened(options, settings, builder, make_nodes, fronts, url, ports, console)
    try:
        limiter = ConnectionLimiter(
            ConnectionLimits(connections=settings.max_connections), name="the platform", raise_files=True
        )
        config = ServerConfig(
            service.app,
            limiter=limiter,
            dialect=service.dialect,
            reserved=RESERVED,
            lifespan="off",
            ws_max_size=settings.max_message,
        )
        server = _Server(config, service)
        gc.collect()
        gc.freeze()  # what the start has made stays, and need not be looked through again and again
        if proxy is None or secure is None:
            await server.serve(sockets)
        else:
            async with _proxy(proxy, sockets[0], secure, options, settings, console, limiter):
                await server.serve([*sockets, secure])
        if service.failed is not None and service.failed.done():
            service.failed.result()
        console.print("stopping")
    finally:
        _ignore_sigterm()
        await service.close()


async def _opened(
    options: Options,
    settings: Settings,
    builder: Builder,
    make_nodes: MakeNodes,
    fronts: dict[int, str],
    url: str,
    secure: list[int],
    console: Console,
) -> Service:
    """Start the platform, or where it has a database that others share, a front of it."""
    if settings.database is not None:
        from ._front_service import open_front

        return await open_front(options, settings, builder, make_nodes, fronts, url, secure, console)
    platform = Platform(settings, builder, make_nodes)
    try:
        os.environ[PLATFORM_VARIABLE] = platform.identity.id  # so that builds' processes are orphans too
        for line in await platform.start():
            console.print(line)
        app, dialect = platform_application(platform, options, fronts, url, secure)
        print_welcome(console, platform, url, fronts, options.mocks)
    except BaseException:
        _ignore_sigterm()
        await platform.close()
        raise
    return Service(app, dialect, platform.release_waiters, platform.close)


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
    """Serve the forward proxy, and print the variables that lead programs to it."""
    folder = settings.data / "proxy"
    tls = ServerTls(folder, BANANA_HOSTS, lambda line: console.print(line, markup=False))
    http, port = (_local_name(options.host).strip("[]"), plain.getsockname()[1]), listener.getsockname()[1]
    # Each connection through the proxy opens two more behind it.
    limits = ConnectionLimits(connections=max(16, limiter.max_connections // 4), reserve=0)
    own_limiter = ConnectionLimiter(limits, name="the forward proxy")
    proxy = ForwardProxy(BANANA_HOSTS, http, (LOOPBACK, secure.getsockname()[1]), tls.context, own_limiter)
    hook = write_node_hook(folder, BANANA_HOSTS, http, (LOOPBACK, port))
    proxy.start(listener)
    console.print("  Banana's own names, for programs that have them built in:")
    for line in export_lines(proxy_variables(f"http://{LOOPBACK}:{port}", tls.authority), hook):
        console.print(f"    {line}", markup=False)
    try:
        yield
    finally:
        await proxy.close()


class _Server(uvicorn.Server):
    """uvicorn that releases waiting callers on a signal, so that it need not wait for them."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        if service.failed is not None:
            service.failed.add_done_callback(lambda _: self.handle_exit(signal.SIGTERM, None))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Release waiting callers, and stop."""
        self._service.release_waiters()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Handle signals on the event loop; replicas have sessions of their own and receive none of them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            _ignore_sigterm()
            loop.remove_signal_handler(signal.SIGINT)


def _ignore_sigterm() -> None:
    """Let a second SIGTERM not interrupt the shutdown, which would leave replicas behind."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)


def _another_port(options: Options, error: OSError) -> str:
    """The command that takes the next port instead of the one in use."""
    port = int(str(error.filename).rpartition(":")[2])
    fronts = dict(options.fronts)
    if port != options.port and port in fronts:
        return f"take another: bananastand up --front {port + 1}={fronts[port]}"
    return f"take another: bananastand up --port {port + 1}"


def _runner() -> Any:
    """Return uvloop's `run` where it is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


def _local_name(host: str) -> str:
    """The host as this machine's own commands write it in a URL."""
    if host in ("0.0.0.0", "::"):
        return LOOPBACK
    return f"[{host}]" if ":" in host else host
