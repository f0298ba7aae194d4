"""The ASGI application of `bananastand up`: the platform with Banana's APIs, git, and the mocks where asked for."""

from __future__ import annotations

import ipaddress
from typing import Any, cast

from bananastand.asgi.bodies import BodyBudget
from bananastand.asgi.refusals import Dialect, plain_json
from bananastand.banana_api.service import banana_services
from bananastand.platform.http.app import PlatformServer
from bananastand.platform.http.banana_runtime import PlatformRuntime
from bananastand.platform.http.dialects import dialect_of_platform
from bananastand.platform.http.pushes import GITHUB, git_app, github_app
from bananastand.platform.platform import Platform

from ._platform_options import Options

__all__ = ["is_private", "platform_application", "platform_dialect"]

BANANA = ("bananadev", "banana-native")  # the mocks that the platform takes the place of
# The mocks' own addresses, which have CORS of their own.
OPEN = ("/lowcodeapi/falai", "/fal", "/fal-queue", "/gobananas", "/paperbanana", "/w")


def platform_application(
    platform: Platform, options: Options, fronts: dict[int, str], url: str, secure: list[int]
) -> tuple[PlatformServer, Dialect]:
    """Build the application of all ports.

    Args:
        platform: The platform.
        options: The command line's.
        fronts: Projects by the port of their front.
        url: The address of the main port.
        secure: Ports behind the forward proxy's TLS.

    Returns:
        The application, and the form of what the server refuses before it.
    """
    runtime = PlatformRuntime(platform)
    services = banana_services(runtime, runtime.is_key, BodyBudget(platform.settings.body_memory))
    mocks, others = _mocks(options) if options.mocks else (None, plain_json)
    pushes = {"/git": git_app(platform, url), GITHUB: github_app(platform, options.github_secret)}
    application = PlatformServer(
        platform,
        {**services, **pushes},
        fronts=fronts,
        hosts=options.hosts,
        open_to=OPEN if options.mocks else (),
        private=is_private(options),
        rest=mocks,
        secure=secure,
    )
    refusals = {mount: service.refusal for mount, service in services.items()}
    return application, dialect_of_platform(refusals, others, fronts)


def platform_dialect(fronts: dict[int, str]) -> Dialect:
    """Return the form of what is refused where no platform runs; see `platform_application`."""
    services = banana_services(cast(Any, None), lambda key: False, BodyBudget(0))
    return dialect_of_platform({mount: service.refusal for mount, service in services.items()}, plain_json, fronts)


def is_private(options: Options) -> bool:
    """Return whether page and metrics require a key, because other machines reach them."""
    return not _is_loopback(options.host)


def _mocks(options: Options) -> tuple[Any, Dialect]:
    """The mocks of the other providers, and the form of their refusals."""
    from bananastand_mocks.providers import NAMES
    from bananastand_mocks.server import Server, dialect_of

    server = Server([name for name in NAMES if name not in BANANA], hosts=options.hosts)
    return server, dialect_of(server)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
