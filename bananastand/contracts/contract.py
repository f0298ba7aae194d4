"""A contract: an openapi.yaml, read once into operations with compiled checks. Knows OpenAPI 3.1, no provider.

Extensions read here: `x-alias-of` (the same operation at another address, without an operationId) and `x-catch-all`
(a path parameter that may contain slashes).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from .errors import ContractError
from .operation import Operation
from .routes import Routes
from .schemas import Schemas

__all__ = ["Contract", "load"]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class Contract:
    """A document, its operations and its route table."""

    def __init__(self, document: Any) -> None:
        self.document = document
        schemas = Schemas(document)
        self.operations: list[Operation] = [
            Operation(template, method, item[method], item.get("parameters", []), schemas)
            for template, item in document["paths"].items()
            for method in METHODS
            if method in item
        ]
        self.by_id: dict[str, Operation] = {each.id: each for each in self.operations if not each.alias}
        for each in self.operations:
            if each.id not in self.by_id:
                raise ContractError(f"{each.template}: x-alias-of names {each.id}, which is no operation")
        self.routes = Routes(self.operations)


@lru_cache(maxsize=16)
def load(path: Path) -> Contract:
    """Read and compile a contract file, once in a process: it is never changed. Raises ContractError."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster, where it is there
    try:
        return Contract(yaml.load(path.read_text(encoding="utf-8"), loader))
    except (yaml.YAMLError, KeyError) as error:
        raise ContractError(f"{path.name}: {error}") from error
