"""Finds the operation that an address names."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import ProviderError
from .operation import PLACE, Operation

__all__ = ["Routes"]


class Routes:
    """The route table.

    Literal paths win over those with parameters, in every method; longer literals over shorter. A path whose parameter
    may take slashes is looked at only where no other fits, in any method.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._literal: dict[str, dict[str, Operation]] = {}
        templates: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            table = templates if "{" in operation.template else self._literal
            table.setdefault(operation.template, {})[operation.method] = operation
        ordered = sorted(templates.items(), key=lambda item: _precedence(item[0], item[1]))
        self._patterns = [(next(iter(methods.values())).pattern, methods) for _, methods in ordered]

    @property
    def operations(self) -> list[Operation]:
        """All operations at all addresses, in the order in which their addresses are tried."""
        tables = [*self._literal.values(), *(methods for _, methods in self._patterns)]
        return [operation for methods in tables for operation in methods.values()]

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """Return the operation and its path parameters; HEAD finds GET.

        Raises:
            ProviderError: unknown_route, or wrong_method with the allowed methods.
        """
        methods = self._literal.get(path)
        if methods is not None:
            if operation := _for_method(methods, method):
                return operation, {}
            raise ProviderError("wrong_method", allowed=sorted(methods))
        allowed: set[str] = set()
        for pattern, methods in self._patterns:
            if match := pattern.fullmatch(path):
                if allowed and _catches_all(methods):
                    break
                if operation := _for_method(methods, method):
                    return operation, {name: match[i + 1] for i, name in enumerate(operation.places)}
                allowed |= methods.keys()
        if allowed:
            raise ProviderError("wrong_method", allowed=sorted(allowed))
        raise ProviderError("unknown_route")


def _for_method(methods: dict[str, Operation], method: str) -> Operation | None:
    return methods.get(method) or (methods.get("GET") if method == "HEAD" else None)


def _catches_all(methods: dict[str, Operation]) -> bool:
    return any(operation.catch_all for operation in methods.values())


def _precedence(template: str, methods: dict[str, Operation]) -> tuple[bool, int, str]:
    """Templates that may take slashes come last, so that they do not shadow what stands below them."""
    return _catches_all(methods), -len(PLACE.sub("", template)), template
