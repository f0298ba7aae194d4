"""An operation of a contract as a route of an application."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.routing import Match, Route

from .operation import Operation

__all__ = ["OperationRoute"]


class OperationRoute(Route):
    """A route whose path, method, name and documentation come from the contract; it matches as the contract does.

    Args:
        operation: The operation.
        function: The function that answers it.
        serve: The ASGI application that serves the route and calls the function.

    Attributes:
        name: The operationId.
        endpoint: The function.
    """

    def __init__(self, operation: Operation, function: Callable[..., Any], serve: Any) -> None:
        super().__init__(operation.template, function, methods=[operation.method], name=operation.id)
        self.operation, self.operation_id, self.app = operation, operation.id, serve
        self.tags: list[str] = operation.spec.get("tags", [])
        self.summary: str = operation.spec.get("summary", "")
        self.description: str = operation.spec.get("description", "")

    def matches(self, scope: Any) -> tuple[Match, Any]:
        """Return the path parameters as text, not decoded to any type."""
        if scope["type"] == "http" and scope["method"] in (self.methods or ()):
            path: str = scope["path"].removeprefix(scope.get("root_path", ""))
            if (match := self.operation.pattern.fullmatch(path)) is not None:
                parameters = {name: match[number] for number, name in enumerate(self.operation.places, 1)}
                return Match.FULL, {"endpoint": self.endpoint, "path_params": parameters}
        return Match.NONE, {}
