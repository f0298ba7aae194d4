"""A provider's contract as a page: every operation with its function, parameters and responses."""

from __future__ import annotations

from typing import Any

from bananastand.contracts.operation import Operation

from .call import EndpointFunction
from .pages import render
from .provider import Provider

__all__ = ["reference_page"]


def reference_page(provider: Provider, mount: str) -> bytes:
    """Return the HTML page in UTF-8; `mount` is the path below which the provider is served."""
    return render(
        "reference.html",
        title=provider.title,
        description=provider.contract.document["info"].get("description", ""),
        mount=mount,
        operations=[
            _row(operation, provider.endpoints[operation.id]) for operation in provider.contract.by_id.values()
        ],
    )


def _row(operation: Operation, function: EndpointFunction) -> dict[str, Any]:
    spec = operation.spec
    return {
        "id": operation.id,
        "method": operation.method,
        "template": operation.template,
        "text": " ".join(text for text in (spec.get("summary"), spec.get("description")) if text),
        "facts": [
            ("function", f"{function.__module__}.{function.__qualname__}"),
            ("read at", spec.get("x-source")),
            ("takes", ", ".join(sorted(operation.parameters))),
            ("answers", ", ".join(operation.statuses)),
            ("remembers", spec.get("x-remembers")),
            ("made up", spec.get("x-made-up")),
        ],
    }
