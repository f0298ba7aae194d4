"""Reads what is to be recorded and replayed, as users write it, into what answers for each provider."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bananastand.contracts.contract import Contract

from ..kernel.exchange import Exchange
from ..kernel.hosts import HostTable
from ..kernel.provider import Provider
from .cassette import Cassette, CassetteError, read_cassette
from .player import Player
from .recorder import Recorder
from .requests import PARTS
from .scrubber import Scrubber

__all__ = ["build_exchanges"]


def build_exchanges(
    providers: Mapping[str, Provider],
    *,
    record: Iterable[str] = (),
    cassette: Path,
    replay: Iterable[Path] = (),
    parts: Collection[str] = PARTS,
    names: Sequence[str] = (),
) -> dict[str, Exchange]:
    """Return what answers for each provider that is recorded or replayed.

    Args:
        providers: The served providers by mount.
        record: What to record: NAME=URL, NAME for its documented address, or URL.
        cassette: The file for it.
        replay: Cassettes to answer from. If the file to record into is one of them, only new calls are passed on.
        parts: What of a request must be equal to a recorded one, of method, path, query and body.
        names: Further names of headers, parameters and fields that hold secrets.

    Raises:
        ValueError: A part of this names nothing that is served.
        CassetteError: A cassette cannot be read or written.
    """
    if unknown := set(parts) - set(PARTS):
        raise ValueError(f"a request has no {', '.join(sorted(unknown))}; it has {', '.join(PARTS)}")
    services = dict(_service(text, providers) for text in record)
    paths = [path for path in replay if not services or path != cassette or path.exists()]
    interactions = [entry for path in paths for entry in read_cassette(path)]
    served = [provider.name for provider in providers.values()]
    recorded = dict.fromkeys(entry.provider for entry in interactions)
    if missing := recorded.keys() - set(served):
        raise CassetteError(
            f"{', '.join(sorted(missing))} of the cassette is not served; there are {', '.join(served)}"
        )
    players = {
        name: Player([entry for entry in interactions if entry.provider == name], parts, names) for name in recorded
    }
    if not services:
        return dict(players)
    file = Cassette(cassette, services, Scrubber(names), append=cassette in paths)
    recorders = {name: Recorder(name, url, file, players.get(name)) for name, url in services.items()}
    return {**players, **recorders}


def _service(text: str, providers: Mapping[str, Provider]) -> tuple[str, str]:
    """Return provider and base URL of what is to be recorded."""
    by_name = {provider.name: provider for provider in providers.values()}
    name, _, url = text.partition("=")
    if "://" in name:
        return _named_by_url(text, providers), text
    if name not in by_name:
        raise ValueError(f"there is no provider {name} to record; there are {', '.join(by_name)}")
    url = url or _documented(by_name[name].contract)
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(
            f"{name} is recorded from an address such as https://api.example.com, not from {url or 'none'}"
        )
    return name, url


def _named_by_url(url: str, providers: Mapping[str, Provider]) -> str:
    """The provider whose service answers at a URL; the only one, where one is served."""
    from ..server import mount_of

    parts = urlsplit(url)
    prefix = HostTable(providers.values()).prefix_of(parts.netloc)
    if prefix is not None and (provider := providers.get(mount_of(f"{prefix}{parts.path}".rstrip("/")))) is not None:
        return provider.name
    if len(providers) == 1:
        return next(iter(providers.values())).name
    names = ", ".join(provider.name for provider in providers.values())
    raise ValueError(f"{url} is no known service: write NAME={url} with one of {names}, or serve one with --only")


def _documented(contract: Contract) -> str:
    servers = contract.document.get("servers", [])
    return next((server["url"] for server in servers if server["url"].startswith("https://")), "")
