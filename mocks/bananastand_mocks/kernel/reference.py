"""A contract as a plain page: every operation, what it takes and what it answers. Knows contracts, no provider."""

from __future__ import annotations

from html import escape

from bananastand.contracts.contract import Contract
from bananastand.contracts.operation import Operation

__all__ = ["reference_page"]


def reference_page(title: str, mount: str, contract: Contract) -> str:
    """HTML without scripts."""
    info = contract.document["info"]
    operations = "".join(_section(mount, each) for each in contract.by_id.values())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><h1>{escape(title)}</h1>"
        f"<p>{escape(info.get('description', ''))} <a href={escape(mount)}/openapi.json>OpenAPI</a>.</p>{operations}"
    )


def _section(mount: str, operation: Operation) -> str:
    spec = operation.spec
    said = [spec.get("summary", ""), spec.get("description", "")]
    made_up, remembers = spec.get("x-made-up"), spec.get("x-remembers")
    rows = [
        ("read at", spec.get("x-source", "")),
        ("takes", ", ".join(sorted(operation.parameters))),
        ("answers", ", ".join(operation.statuses)),
        ("remembers", remembers or ""),
        ("made up", made_up or ""),
    ]
    listed = "".join(f"<tr><th>{name}<td>{escape(text)}" for name, text in rows if text)
    return (
        f"<h2 id={escape(operation.id)}>{escape(operation.id)}</h2>"
        f"<p><code>{operation.method} {escape(mount + operation.template)}</code></p>"
        f"<p>{escape(' '.join(each for each in said if each))}</p><table>{listed}</table>"
    )
