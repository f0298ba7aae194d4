"""An operation of a contract as a route of its provider's application."""

from __future__ import annotations

from typing import Any

from starlette.routing import Route

from bananastand.contracts.operation import Operation

from .call import EndpointFunction

__all__ = ["OperationRoute"]


class OperationRoute(Route):
    """A route whose path, method, name and documentation come from the contract.

    Args:
        operation: The operation.
        endpoint: The provider's function, which answers it.
        handler: The ASGI application that serves the route and calls the function.

    Attributes:
        name: The operationId.
        endpoint: The provider's function.
    """

    def __init__(self, operation: Operation, endpoint: EndpointFunction, handler: Any) -> None:
        path = operation.template
        for name in operation.catch_all:
            path = path.replace(f"{{{name}}}", f"{{{name}:path}}")
        super().__init__(path, endpoint, methods=[operation.method], name=operation.id)
        self.app = handler
        self.operation, self.operation_id = operation, operation.id
        self.tags: list[str] = operation.spec.get("tags", [])
        self.summary: str = operation.spec.get("summary", "")
        self.description: str = operation.spec.get("description", "")
