"""The builder that a stand uses: brings the source, builds it, and says in the platform's words what went wrong."""

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
from .deployer import Builder, Order

__all__ = ["passed_secrets", "source_builder"]


def source_builder(data: Path, roots: tuple[Path, ...], isolation: str = "auto") -> Builder:
    """Sources may come from below `roots`, and from the uploads; the cache is shared by all builds."""
    from . import BuildSettings, build
    from .errors import BuildError
    from .log import BuildLog
    from .sources.sources import fetch

    async def make(order: Order) -> Launch:
        images = _images(data)
        policy = await asyncio.to_thread(make_isolation_policy, isolation, data, named=order.environment)
        settings = BuildSettings(
            cache=data / "cache",
            roots=(*roots, data / "uploads"),
            builder=order.builder if order.builder in ("process", "container") else "auto",
            environment=order.environment,
            secrets=order.secrets,
            images=images,
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
            await asyncio.shield(asyncio.to_thread(_close, order.folder, settings.cache))

    return make


def _close(folder: Path, cache: Path) -> None:
    """Close to others what programs of a build have opened to them. Environments and packages are closed as made."""
    for each in (folder, *cache.glob("*")):
        if each.name not in ("environments", "packages"):
            make_private(each)


def _torch(data: Path) -> dict[str, Any]:
    """[torch] of stand.toml: index, of CPU builds, and wheels, files and folders that stand in. Raises Refused."""
    table: Any = _stand_file(data).get("torch")
    if table is None:
        return {}
    index, wheels = (table.get("index"), table.get("wheels", [])) if isinstance(table, dict) else (0, 0)
    texts: list[Any] = wheels if isinstance(wheels, list) else [wheels]
    if not isinstance(index, str | None) or not all(isinstance(each, str) for each in texts):
        raise Refused(f'{data / "stand.toml"}: [torch] takes index = "ADDRESS" and wheels = ["FILE OR FOLDER"]')
    given: dict[str, Any] = {"torch_wheels": tuple(str(Path(each).expanduser()) for each in texts)}
    return given | ({"torch_index": index} if index else {})


def passed_secrets(data: Path, names: Iterable[str]) -> dict[str, str]:
    """This process's variables of these names, and of those that `pass` in stand.toml of the data directory lists.

    Raises Refused where stand.toml cannot be read, or where there is no variable of a name.
    """
    listed: Any = _stand_file(data).get("pass", [])
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in cast("list[Any]", listed)):
        raise Refused(f'{data / "stand.toml"}: pass must list names of variables, such as pass = ["HF_TOKEN"]')
    wanted = dict.fromkeys([*cast("list[str]", listed), *names])
    for name in wanted:
        if not os.environ.get(name):
            raise Refused(
                f"{name} is to be passed to apps, and there is no such variable: export it before this command"
            )
    return {name: os.environ[name] for name in wanted}


def _images(data: Path) -> dict[str, str]:
    """[images] of stand.toml in the data directory: other base images by pattern. Raises Refused."""
    images: Any = _stand_file(data).get("images", {})
    if not isinstance(images, dict) or not all(isinstance(each, str) for each in images.values()):
        raise Refused(f"{data / 'stand.toml'}: [images] must give an image's name for each pattern")
    return images


def _stand_file(data: Path) -> dict[str, Any]:
    file = data / "stand.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Refused(f"{file} cannot be read: {error}") from error
