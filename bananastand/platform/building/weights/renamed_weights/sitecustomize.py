"""Fetches hub repositories under other names, in any Python from 3.7 on, whatever asks for them.

Python imports this before a program begins, where PYTHONPATH names its folder. BANANASTAND_WEIGHTS holds a JSON object
of names and the names to fetch in their place. Requests to HF_ENDPOINT have their path changed on the way out, below
huggingface_hub, transformers and urllib, so that all of their versions keep the files under the name the program knows.
Uses the standard library alone.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import re
import sys
from typing import Any, Dict, List, Optional, Sequence  # noqa: UP035

__all__: List[str] = []  # noqa: UP006

VARIABLE = "BANANASTAND_WEIGHTS"


def _renamer(names: Dict[str, str]) -> Any:  # noqa: UP006
    """A function that changes a request's path: /NAME/resolve/..., /api/models/NAME/... and the like."""
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    host, _, prefix = re.sub(r"^\w+://", "", endpoint).rstrip("/").partition("/")
    prefix = "/" + prefix if prefix else ""
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    pattern = re.compile(
        "^("
        + re.escape(prefix)
        + r"/(?:api/(?:models|datasets|spaces)/|(?:datasets|spaces)/)?)("
        + known
        + r")(?=[/?]|$)"
    )
    hosts = {host, host.partition(":")[0], "huggingface.co", "hf.co"}

    def rename(requested_host: str, path: str) -> str:
        if requested_host not in hosts:
            return path
        return pattern.sub(lambda found: found.group(1) + names[found.group(2)], path)

    return rename


def _patch_http_client(rename: Any) -> None:
    """What requests, urllib3 and urllib send."""
    import http.client

    send = http.client.HTTPConnection.putrequest

    def putrequest(self: Any, method: str, url: str, *more: Any, **options: Any) -> Any:
        host = getattr(self, "_tunnel_host", None) or self.host  # through a proxy
        return send(self, method, rename(host, url), *more, **options)

    http.client.HTTPConnection.putrequest = putrequest  # type: ignore[method-assign]


def _patch_httpx(module: Any, rename: Any) -> None:
    """What huggingface_hub sends from 1.0 on."""
    for kind in (module.Client, module.AsyncClient):
        build = kind.build_request

        def build_request(self: Any, method: Any, url: Any, *more: Any, _build: Any = build, **options: Any) -> Any:
            request = _build(self, method, url, *more, **options)
            path = request.url.raw_path.decode("ascii")
            renamed = rename(request.url.host, path)
            if renamed != path:
                request.url = request.url.copy_with(raw_path=renamed.encode("ascii"))
            return request

        kind.build_request = build_request


class _Finder(importlib.abc.MetaPathFinder):
    """Finds httpx as others do, and patches it once it is loaded."""

    def __init__(self, rename: Any) -> None:
        self._rename, self._busy = rename, False

    def find_spec(
        self,
        fullname: str,
        path: Optional[Sequence[str]],  # noqa: UP045
        target: Any = None,
    ) -> Optional[importlib.machinery.ModuleSpec]:  # noqa: UP045
        """The spec of httpx with a loader that patches, None for all else."""
        if fullname not in ("httpx", "httpx2") or self._busy:
            return None
        self._busy = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._busy = False
        if spec is None or spec.loader is None:
            return None
        loader: Any = spec.loader
        run = loader.exec_module

        def exec_module(module: Any) -> None:
            run(module)
            _patch_httpx(module, self._rename)

        loader.exec_module = exec_module
        return spec


def _next_sitecustomize() -> None:
    """The one that would have been imported without this one."""
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _begin() -> None:
    try:
        names = json.loads(os.environ.get(VARIABLE) or "{}")
    except ValueError:
        return
    if names:
        rename = _renamer(names)
        _patch_http_client(rename)
        sys.meta_path.insert(0, _Finder(rename))
    if __name__ == "sitecustomize":
        _next_sitecustomize()


_begin()
