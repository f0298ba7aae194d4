"""Adds the names and forms of older Potassium versions to a newer one: a repository without a pin gets the newest.

A name is added only where the installed version lacks it, and its use is logged once.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any, Callable

__all__ = ["add_legacy_names"]

_logged: set[str] = set()


def add_legacy_names(module: Any) -> None:
    """Give the class Potassium of a `potassium` package the names that earlier versions had."""
    kind = module.Potassium
    if getattr(kind, "_bananastand_adapted", False):
        return
    kind._bananastand_adapted = True
    _accept_mode(kind)
    _keep_context(kind)
    missing: dict[str, Any] = {
        "background": getattr(kind, "async_handler", None),
        "async_handler": _async_handler,
        "set_context": _set_context,
        "set_cache": _set_context,
        "get_context": _get_context,
        "get_cache": _get_context,
        "optimize": _optimize,
    }
    for name, function in missing.items():
        if function is not None and not hasattr(kind, name):
            setattr(kind, name, function)
    for name in ("handler", "background", "async_handler"):
        if hasattr(kind, name) and "gpu" not in inspect.signature(getattr(kind, name)).parameters:
            setattr(kind, name, _tolerant_decorator(kind, name))


def _log_once(text: str) -> None:
    if text not in _logged:
        _logged.add(text)
        sys.stderr.write(f"potassium: {text}\n")


def _accept_mode(kind: Any) -> None:
    """Accept Potassium("name", mode="serve"), which versions up to 0.0.6 had."""
    original = kind.__init__
    if "mode" in inspect.signature(original).parameters:
        return

    @functools.wraps(original)
    def __init__(self: Any, name: str, *args: Any, mode: str = "serve", **known: Any) -> None:
        if args and isinstance(args[0], str):
            args = args[1:]
        original(self, name, *args, **known)

    kind.__init__ = __init__


def _keep_context(kind: Any) -> None:
    """Use the context of set_cache or set_context for an init() that returns nothing."""
    original = kind.init

    @functools.wraps(original)
    def init(self: Any, function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def called(*args: Any) -> Any:
            context = function(*args)
            return getattr(self, "_bananastand_context", None) if context is None else context

        return original(self, called)

    kind.init = init


def _tolerant_decorator(kind: Any, name: str) -> Callable[..., Any]:
    """Return a decorator that also takes gpu= (0.0.9, 0.0.10), path= (0.0.5, 0.0.6) and no call (0.0.3, 0.0.4)."""
    original = getattr(kind, name)
    first = next((name for name in inspect.signature(original).parameters if name != "self"), "route")

    @functools.wraps(original)
    def decorator(self: Any, route: Any = "/", *args: Any, **known: Any) -> Any:
        if callable(route):
            return _bare(self, original, route)
        if known.pop("gpu", None) is not None:
            _log_once(f"gpu= of @app.{name} is Potassium 0.0.9's; it changes nothing here")
        for keyword in ("path", "route"):
            if keyword in known:
                route = known.pop(keyword)
        if first not in ("route", "path"):
            return original(self, route, *args, **known)
        return original(self, **{first: route}, **known)

    return decorator


def _bare(app: Any, original: Any, function: Callable[[Any, Any], Any]) -> Any:
    """Register a function of 0.0.3: it takes the cache and JSON, and returns JSON."""
    if not hasattr(app, "_endpoints") and not hasattr(app, "endpoints"):
        return original(app, function)
    _log_once("@app.handler without parentheses is Potassium 0.0.3's form; its function gets JSON and returns JSON")
    response = sys.modules[type(app).__module__].Response

    @functools.wraps(function)
    def handler(context: Any, request: Any) -> Any:
        return response(json=function(context, request.json), status=200)

    original(app)(handler)
    return function


def _async_handler(self: Any, path: str = "/", result_webhook: Any = None, **known: Any) -> Any:
    _log_once("@app.async_handler is Potassium 0.0.5's name of @app.background")
    decorator = self.background(known.get("route", path))

    def decorate(function: Callable[[Any, Any], Any]) -> Any:
        if result_webhook is None:
            return decorator(function)

        @functools.wraps(function)
        def handler(context: Any, request: Any) -> Any:
            output = function(context, request)
            from potassium.hooks import send_webhook  # type: ignore[import-not-found, unused-ignore]

            send_webhook(result_webhook, getattr(output, "json", output))
            return output

        return decorator(handler)

    return decorate


def _set_context(self: Any, val: Any) -> None:
    _log_once("set_cache and set_context are names of Potassium up to 0.0.8; a later init() returns the context")
    self._bananastand_context = val
    self._context = val
    if hasattr(self, "context"):
        self.context = val


def _get_context(self: Any) -> Any:
    return getattr(self, "_bananastand_context", None) or getattr(self, "_context", {})


def _optimize(self: Any, model: Any) -> Any:
    _log_once("optimize was a build step of Banana; it returns the model as it is")
    return model
