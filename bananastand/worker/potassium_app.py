"""A Potassium app of any published version, 0.0.3 to 0.5.0, behind one interface.

Differences between versions are detected on the objects themselves, not by a version number. Up to 0.4 a handler takes
the request and finds its context in the app; in 0.5 it takes the context too; 0.0.3 and 0.0.4 have one handler, which
takes JSON.
"""

from __future__ import annotations

import functools
import inspect
import threading
import uuid
from typing import Any, Callable, NamedTuple

from . import wire

__all__ = ["PotassiumApp", "AppRoute", "potassium_version", "response_head"]


class AppRoute(NamedTuple):
    """A path of the app.

    Attributes:
        path: The path.
        function: The handler, of the context and the request.
        background: Whether the caller is answered before the handler runs.
    """

    path: str
    function: Callable[[Any, Any], Any]
    background: bool


class PotassiumApp:
    """An adapter around a `potassium.Potassium`.

    Attributes:
        contexts: How often init() runs, each time for a context of its own.
        concurrency: Handlers at once, as the app declares.
        routes: The app's routes, by path.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.name = str(getattr(app, "name", ""))
        self.contexts = int(getattr(app, "_num_workers", 1) or 1)
        self.concurrency = int(getattr(app, "concurrency", 1) or 1)
        self._module = __import__("sys").modules[type(app).__module__]
        self._own_context = not hasattr(app, "_worker_pool")  # up to 0.4 the app keeps its context itself
        self.routes: dict[str, AppRoute] = {route.path: route for route in self._find_routes()}

    def _find_routes(self) -> list[AppRoute]:
        endpoints = getattr(self.app, "_endpoints", None)
        if endpoints is None:
            endpoints = getattr(self.app, "endpoints", None)
        if endpoints is None:  # 0.0.3 and 0.0.4
            function = getattr(self.app, "handler_func", None)
            return [] if function is None else [AppRoute("/", self._plain(function), False)]
        found = []
        for path, endpoint in endpoints.items():
            kind = str(getattr(endpoint.type, "name", endpoint.type)).lower()
            found.append(AppRoute(path, self._handler(endpoint), kind in ("background", "async_handler")))
        return found

    def _plain(self, function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        """Adapt a handler of JSON, whose output may be forwarded to a webhook (0.0.4)."""

        def call(context: Any, request: Any) -> Any:
            output = function(request)
            url = getattr(self.app, "webhook_url", None)
            if url is not None:  # before the answer, as 0.0.4 does: so webhooks keep the order of the calls
                self._module.forward_to_webhook(url, output)
            return output

        return call

    def _handler(self, endpoint: Any) -> Callable[[Any, Any], Any]:
        function, url = endpoint.func, getattr(endpoint, "result_webhook", None)
        if not self._own_context:
            return function

        def call(context: Any, request: Any) -> Any:
            response = function(request)
            if url is not None:
                self._forward(url, getattr(response, "json", response))
            return response

        return call

    def _forward(self, url: str, output: Any) -> None:
        forward = getattr(self._module, "forward_to_webhook", None)
        if forward is not None:
            threading.Thread(target=forward, args=(url, output), daemon=True).start()

    def init(self, number: int) -> Any:
        """Run the app's init function once; returns its context. Raises what the app raises.

        Args:
            number: Of the context, from 0, for an init() that asks for it.
        """
        function = getattr(self.app, "_init_func", None) or getattr(self.app, "init_func", None)
        assert function is not None, "a Potassium app has an init function"
        if self._own_context:
            function()
            return None
        context = function(number) if inspect.signature(function).parameters else function()
        adapted = getattr(self.app, "_bananastand_context", None)  # set_cache and set_context, on a version without
        if context is None and adapted is not None:
            context = adapted
        if not isinstance(context, dict):
            raise TypeError(f"init() must return a dictionary, not {type(context).__name__}")
        return context

    def request(self, headers: list[wire.Header], body: bytes) -> Any:
        """Build the request that this version passes to a handler.

        Args:
            headers: As they came, names in any case.
            body: JSON.

        Raises:
            wire.BadRequest: It is not JSON, or its Content-Type is not JSON where the version checks it.
        """
        named: dict[str, str] = {}
        for name, value in headers:
            key = name.lower()
            named[key] = named[key] + "," + value if key in named else value
        if not hasattr(self._module, "sanic_json"):  # Sanic, up to 0.0.5, reads any body as JSON
            wire.check_json_type(named)
        value = wire.parse_json(body)
        kind = getattr(self._module, "Request", None)
        if kind is None:
            return value
        parameters = _parameters(kind)
        values: dict[str, Any] = {"json": value}
        if "id" in parameters:
            values["id"] = named.get("x-banana-request-id") or str(uuid.uuid4())
        if "headers" in parameters:
            values["headers"] = self._headers(named)
        return kind(**values)

    def _headers(self, named: dict[str, str]) -> Any:
        """Build the headers: 0.5 has a class of its own, 0.4 uses werkzeug's."""
        kind = getattr(self._module, "RequestHeaders", None)
        if kind is None:
            from werkzeug.datastructures import Headers  # type: ignore[import-not-found, unused-ignore]

            return Headers({name.title(): value for name, value in named.items()})
        return _quiet(kind)({name.upper().replace("-", "_"): value for name, value in named.items()})

    def response(self, output: Any) -> tuple[int, list[wire.Header], Any]:
        """Return status, headers and body (bytes or a generator) of what a handler returned.

        Raises:
            ValueError: It cannot be sent over HTTP.
        """
        if hasattr(output, "body"):  # from 0.4
            return response_head(output)
        if hasattr(self._module, "sanic_json"):  # up to 0.0.5: Sanic's JSON, status 200
            return _sanic_head(self._module.sanic_json(getattr(output, "json", output)))
        generic = hasattr(self.app, "_handle_generic")  # from 0.0.9 a response's status counts
        value = getattr(output, "json", output)
        status = int(getattr(output, "status", 200)) if generic else 200
        headers = [("x-endpoint-type", "handler")] if generic else []
        return _flask_head(value, status, headers)


@functools.lru_cache(maxsize=None)
def _parameters(kind: Any) -> frozenset[str]:
    return frozenset(inspect.signature(kind).parameters)


def potassium_version() -> str:
    """Return the version of the installed package; empty if it is unknown."""
    try:
        from importlib.metadata import version
    except ImportError:  # Python 3.7
        try:
            from pkg_resources import get_distribution  # type: ignore[import-not-found, unused-ignore]

            return str(get_distribution("potassium").version)
        except Exception:
            return ""
    try:
        return version("potassium")
    except Exception:
        return ""


def response_head(response: Any) -> tuple[int, list[wire.Header], Any]:
    """Return status, headers and body of a potassium.Response of 0.4 or 0.5; text/html if it names no type.

    Raises:
        ValueError: It cannot be sent over HTTP.
    """
    named = {str(key).lower(): str(value) for key, value in dict(response.headers or {}).items()}
    named.setdefault("content-type", wire.HTML)
    body = b"" if response.body is None else response.body
    return _checked(int(response.status), list(named.items()), body)


def _checked(status: int, headers: list[wire.Header], body: Any) -> tuple[int, list[wire.Header], Any]:
    headers = [(name, value) for name, value in headers if name != "content-length"]
    if any(mark in text for pair in headers for text in pair for mark in "\r\n\0"):
        raise ValueError("a header of the response holds a line end")
    for pair in headers:
        for text in pair:
            text.encode("latin-1")
    if not 200 <= status <= 599:
        raise ValueError(f"the response has status {status}; 200 to 599 are possible")
    if isinstance(body, str):
        body = body.encode()
    return status, headers, body


def _flask_head(value: Any, status: int, headers: list[wire.Header]) -> tuple[int, list[wire.Header], Any]:
    """Convert a value as Flask's make_response does: a dictionary or list to JSON, a string to text."""
    from flask import Flask, make_response  # type: ignore[import-not-found, unused-ignore]

    application = _flask_application(Flask)
    with application.test_request_context():
        response = make_response(value)
    kind = response.headers.get("Content-Type", wire.HTML)
    return _checked(status, [("content-type", kind), *headers], response.get_data())


_application: Any | None = None


def _flask_application(kind: Any) -> Any:
    global _application
    if _application is None:
        _application = kind("bananastand_worker")
    return _application


def _sanic_head(response: Any) -> tuple[int, list[wire.Header], Any]:
    return _checked(int(response.status), [("content-type", str(response.content_type))], response.body)


def _quiet(kind: Any) -> Any:
    """Return a subclass that does not print: 0.5's class prints all headers, secrets included, whenever one is read."""
    known = _QUIET.get(kind)
    if known is None:

        class Headers(kind):  # type: ignore[misc, unused-ignore]
            def __init__(self, headers: dict[str, str]) -> None:
                self._headers = headers

            def __getitem__(self, key: str) -> str:
                return self._headers[self._normalize_key(key)]

        known = _QUIET[kind] = Headers
    return known


_QUIET: dict[Any, Any] = {}
