"""How a build and its replicas reach the model hub: tokens, the shared cache, and renamed repositories."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...hub_cache import hub_cache, library_caches
from ..dockerfile.dockerfile import Dockerfile

__all__ = [
    "RENAMED",
    "TOKENS",
    "VARIABLE",
    "GoneRepository",
    "declared_arguments",
    "gone_weights",
    "hub_home",
    "hub_tokens",
    "lend_cache",
    "renamed_folder",
    "renamed_weights",
]

# huggingface_hub reads the first from 0.17 on, the second before.
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
OTHER_TOKENS = (
    "HF_AUTH_TOKEN",
    "HF_API_TOKEN",
    "HUGGINGFACE_TOKEN",
    "HUGGINGFACE_HUB_TOKEN",
    "HUGGINGFACEHUB_API_TOKEN",
)
PLACES = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")  # each decides where the hub's cache is
VARIABLE = "BANANASTAND_WEIGHTS"
RENAMED = "/run/bananastand/weights"  # where that folder is in a container
SHARED = "BANANASTAND_SHARED_HUB"  # the folders that the links lead to: a sandbox makes them visible
SMALL = 64 * 2**10  # bytes up to which a file of the cache is copied for a replica, not linked
PRIVATE = frozenset({"token", "stored_tokens"})  # what `huggingface-cli login` leaves
UNFINISHED = (".lock", ".incomplete", ".tmp")


@dataclass(frozen=True, slots=True)
class GoneRepository:
    """A repository that old code asks for under a dead name; `moved`: the hub redirects, which old libraries miss."""

    name: str
    successor: str | None
    reason: str
    source: str
    moved: bool = False


@cache
def gone_weights() -> Mapping[str, GoneRepository]:
    """Return every known dead name."""
    text = Path(__file__).with_name("gone_weights.toml").read_text(encoding="utf-8")
    return {
        name: GoneRepository(name, row.get("successor"), row["reason"], row["source"], row.get("moved", False))
        for name, row in tomllib.loads(text).items()
    }


def hub_tokens(secrets: Mapping[str, str], declared: Iterable[str] = ()) -> dict[str, str]:
    """Return the secrets that RUN lines see without a mount: tokens of the hub, and declared ARGs.

    A token under one of the hub's two names is passed under both, as libraries read one each.
    """
    names = {*TOKENS, *OTHER_TOKENS, *declared}
    found = {name: value for name, value in secrets.items() if name in names}
    token = next((secrets[name] for name in TOKENS if secrets.get(name)), None)
    return {**found, **dict.fromkeys(TOKENS, token)} if token else found


def hub_home(cache: Path, own: Mapping[str, str], machine: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for the hub's home of a build, in the cache that all builds share.

    A home of its own has no token that its user once logged in with: none reaches an app unless it is named.

    Args:
        cache: The builds' cache.
        own: ENV of the Dockerfile. Where it names a place, that is in the build's tree, and nothing is changed.
        machine: The platform's own variables. Where they name a place, weights are kept there.
    """
    if any(own.get(name) for name in PLACES):
        return {}
    named = any(machine.get(name) for name in PLACES)
    hub = str(hub_cache(machine) if named else cache / "huggingface" / "hub")
    return {"HF_HOME": str(cache / "huggingface"), "HF_HUB_CACHE": hub, "HUGGINGFACE_HUB_CACHE": hub}


def lend_cache(home: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the variables that lead replicas to what builds have fetched, which they can read and not change.

    Weights are links into the shared cache; what a replica fetches itself is kept in `folder`, its build's own.

    Args:
        home: What hub_home gave. Where that is nothing, the weights are in the build's tree, and nothing is lent.
        folder: Where the replicas' cache is made.
    """
    if not home:
        return {}
    hub, *others = library_caches(home)
    for source, target in ((hub, folder / "hub"), *((path, folder / path.name) for path in others if path.is_dir())):
        target.mkdir(parents=True, exist_ok=True)
        for path in _files(source):
            _lend(path, target / path.relative_to(source))
    lent = str(folder / "hub")
    shared = os.pathsep.join(str(cache) for cache in (hub, *others))  # not what lies beside: a user's token does
    return {"HF_HOME": str(folder), "HF_HUB_CACHE": lent, "HUGGINGFACE_HUB_CACHE": lent, SHARED: shared}


def declared_arguments(dockerfile: Dockerfile) -> set[str]:
    """Return the names of all ARG lines."""
    lines = [line for stage in dockerfile.stages for line in stage.instructions if line.name == "ARG"]
    return {word.partition("=")[0] for line in lines for word in line.value.split()} | dockerfile.declared


def renamed_weights(weights: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make every Python program fetch the right names instead of the left ones."""
    if not weights:
        return {}
    folder = str(renamed_folder())
    rest = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != folder]
    return {VARIABLE: json.dumps(dict(sorted(weights.items()))), "PYTHONPATH": os.pathsep.join([folder, *rest])}


def renamed_folder() -> Path:
    """Return the folder for PYTHONPATH that renames hub repositories."""
    return Path(__file__).parent / "renamed_weights"


def _files(folder: Path) -> Iterator[Path]:
    """Yield finished files and links below a folder, which may be missing."""
    for place, _, names in os.walk(folder):
        for name in names:
            if not name.endswith(UNFINISHED) and name not in PRIVATE:
                yield Path(place, name)


def _lend(path: Path, target: Path) -> None:
    if os.path.lexists(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        target.symlink_to(os.readlink(path))  # of a snapshot, to a blob beside it
    elif info.st_size <= SMALL:
        shutil.copyfile(path, target)
    else:
        target.symlink_to(path.absolute())
