"""The folders in which the model hub's libraries keep downloads, by the environment variables that move them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["hub_cache", "library_caches"]

# Below HF_HOME: of transformers before 4.22, of diffusers before 0.17, of datasets.
OWN_CACHES = ("transformers", "diffusers", "datasets")


def library_caches(environment: Mapping[str, str]) -> list[Path]:
    """Return the cache of huggingface_hub, then those of the libraries that have one of their own."""
    hub = hub_cache(environment)
    home = Path(environment.get("HF_HOME") or hub.parent)
    return [hub, *(home / name for name in OWN_CACHES)]


def hub_cache(environment: Mapping[str, str]) -> Path:
    """Return the folder in which huggingface_hub keeps models under these variables."""
    if named := environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE"):
        return Path(named)
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(environment.get("HF_HOME") or cache / "huggingface") / "hub"
