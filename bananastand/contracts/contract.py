"""A contract: an OpenAPI 3.1 file, read once into operations with compiled checks.

Extensions read here: `x-alias-of` (the same operation at another address, without an operationId) and `x-catch-all`
(a path parameter that may contain slashes).
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from .errors import ContractError
from .operation import Operation
from .published import publish, servers
from .routes import Routes
from .schemas import Schemas

__all__ = ["Contract", "load"]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class Contract:
    """A document, its schemas, its operations and its route table.

    Args:
        document: The OpenAPI document.
        examples: The file with its examples, which are read when the document is handed out.
    """

    def __init__(self, document: Any, examples: Path = Path()) -> None:
        self.document, self._examples = document, examples
        self.schemas = Schemas(document)
        self.operations: list[Operation] = [
            Operation(template, method, item[method], item.get("parameters", []), self.schemas)
            for template, item in document["paths"].items()
            for method in METHODS
            if method in item
        ]
        self.by_id: dict[str, Operation] = {
            operation.id: operation for operation in self.operations if not operation.alias
        }
        for operation in self.operations:
            if operation.id not in self.by_id:
                raise ContractError(f"{operation.template}: x-alias-of names {operation.id}, which is no operation")
        self.routes = Routes(self.operations)

    def servers(self, base: str) -> list[dict[str, Any]]:
        """Return the addresses of the API: `base`, where this server offers it, before those of the real service."""
        return servers(self.document, base)

    def served_at(self, base: str) -> dict[str, Any]:
        """Return the document with `base` as its first server, so that tools which read it call no real service."""
        return {**self._published, "servers": self.servers(base)}

    @cached_property
    def _published(self) -> dict[str, Any]:
        return publish(self.document, self._examples)


@lru_cache(maxsize=16)
def load(path: Path) -> Contract:
    """Read and compile a contract file, once in a process: it is never changed.

    Raises:
        ContractError: The file is no contract; the message names the file.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster, where it is there
    try:
        return Contract(
            yaml.load(path.read_text(encoding="utf-8"), loader), path.with_name(f"{path.stem}.examples.yaml")
        )
    except KeyError as error:
        raise ContractError(f"{path}: the key {error} is missing") from error
    except (yaml.YAMLError, ContractError) as error:
        raise ContractError(f"{path}: {error}") from error
