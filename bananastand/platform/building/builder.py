"""The platform's builder: fetches the source of a build, builds it, and reports failures as platform errors."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from ..errors import Refused
from ..launch import Launch
from ..replicas.isolation import make_isolation_policy
from ..store.private_files import make_private
from .containers.engines import ENGINES
from .deployer import Builder, BuildRequest

__all__ = ["passed_secrets", "source_builder"]


def source_builder(data: Path, roots: tuple[Path, ...], isolation: str = "auto") -> Builder:
    """Return the platform's builder.

    Args:
        data: The data directory; the cache below it is shared by all builds.
        roots: Folders that local sources may come from, beside the uploads.
        isolation: How the programs of a build are kept from the machine, as `bananastand up --isolation` takes it.
    """
    from . import BuildSettings, build
    from .errors import BuildError
    from .log import BuildLog
    from .sources.sources import fetch

    async def make(order: BuildRequest) -> Launch:
        images = _images(data)
        policy = await asyncio.to_thread(make_isolation_policy, isolation, data, named=order.environment)
        settings = BuildSettings(
            cache=data / "cache",
            roots=(*roots, data / "uploads"),
            builder=order.builder if order.builder in ("process", "container") else "auto",
            environment=order.environment,
            secrets=order.secrets,
            images=images,
            engine=_engine(data),
            as_of=order.as_of,
            isolation_policy=policy.for_builds() if policy is not None else None,
            **_torch(data),
        )
        source, say = order.folder / "source", BuildLog(order.log, order.secrets.values())
        if order.secrets:
            say(f"secrets for this build and its replicas: {', '.join(sorted(order.secrets))}")
        try:
            committed = await fetch(order.source, source, settings=settings, log=say)
            settings = dataclasses.replace(settings, committed=committed)
            return await build(source, settings=settings, folder=order.folder, log=order.log)
        except BuildError as error:
            raise Refused(say.clean(str(error))) from error
        finally:
            await asyncio.shield(asyncio.to_thread(_make_files_private, order.folder, settings.cache))

    return make


def _make_files_private(folder: Path, cache: Path) -> None:
    """Make files of the build and the cache private again; environments and packages are private as made."""
    for path in (folder, *cache.glob("*")):
        if path.name not in ("environments", "packages"):
            make_private(path)


def _torch(data: Path) -> dict[str, Any]:
    """Read [torch] of stand.toml: the index of CPU builds, and wheels that replace it. Raises Refused."""
    table: Any = _stand_file(data).get("torch")
    if table is None:
        return {}
    index, wheels = (table.get("index"), table.get("wheels", [])) if isinstance(table, dict) else (0, 0)
    texts: list[Any] = wheels if isinstance(wheels, list) else [wheels]
    if not isinstance(index, str | None) or not all(isinstance(text, str) for text in texts):
        raise Refused(f'{data / "stand.toml"}: [torch] takes index = "ADDRESS" and wheels = ["FILE OR FOLDER"]')
    options: dict[str, Any] = {"torch_wheels": tuple(str(Path(text).expanduser()) for text in texts)}
    return options | ({"torch_index": index} if index else {})


def passed_secrets(data: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the environment variables that every app gets.

    Args:
        data: The data directory, whose stand.toml lists names under `pass`.
        names: Further names.

    Raises:
        Refused: stand.toml cannot be read, or a variable has no value.
    """
    listed: Any = _stand_file(data).get("pass", [])
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in cast("list[Any]", listed)):
        raise Refused(f'{data / "stand.toml"}: pass must list names of variables, such as pass = ["HF_TOKEN"]')
    requested = dict.fromkeys([*cast("list[str]", listed), *names])
    for name in requested:
        if not os.environ.get(name):
            raise Refused(
                f"{name} is to be passed to apps, and there is no such variable: export it before this command"
            )
    return {name: os.environ[name] for name in requested}


def _images(data: Path) -> dict[str, str]:
    """Read [images] of stand.toml: replacements of base images, by pattern. Raises Refused."""
    images: Any = _stand_file(data).get("images", {})
    if not isinstance(images, dict) or not all(isinstance(image, str) for image in images.values()):
        raise Refused(f"{data / 'stand.toml'}: [images] must give an image's name for each pattern")
    return images


def _engine(data: Path) -> str | None:
    """Read engine of stand.toml: the container engine to use; None for the first that works. Raises Refused."""
    engine: Any = _stand_file(data).get("engine")
    if engine is not None and engine not in ENGINES:
        raise Refused(f'{data / "stand.toml"}: engine is one of {", ".join(ENGINES)}, such as engine = "podman"')
    return engine


def _stand_file(data: Path) -> dict[str, Any]:
    file = data / "stand.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Refused(f"{file} cannot be read: {error}") from error
