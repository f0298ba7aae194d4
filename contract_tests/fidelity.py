"""The fidelity table of docs/mocks.md, made of the contracts, their claims and the documents' examples.

`python contract_tests/fidelity.py` writes it anew; a test holds the page to it. The axes stand side by side and are
never summed.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "mocks")]

from contracts import FILES, Operation, contract, operations, resolve  # noqa: E402

__all__ = ["PAGE", "row", "table", "written"]

PAGE = HERE.parent / "docs" / "mocks.md"
BEGIN, END = "<!-- fidelity -->\n", "<!-- /fidelity -->\n"
HEADS = "| operation | at | its request is | its answer is | examples | what it remembers | what is made up |"


def table() -> str:
    """All contracts, one after the other, in the order of their files."""
    parts: list[str] = []
    for name in FILES:
        document, replayed = contract(name), examples(name)
        rows = [row(each, replayed) for each in operations(document) if "operationId" in each.spec]
        parts += [f"**{name}**, {claimed(name)} claims", "", HEADS, "| --- " * 7 + "|", *rows, ""]
    return "\n".join(parts)


def row(found: Operation, replayed: Counter[str]) -> str:
    """One operation. `-` where there is nothing to say."""
    spec = found.spec
    asked = {"parameters": found.parameters, "body": spec.get("requestBody", {})}
    success = next(each for status, each in spec["responses"].items() if str(status)[0] in "23")
    cells = (
        f"`{spec['operationId']}`",
        f"`{found}`",
        _confidence(found.document, spec, asked),
        _confidence(found.document, spec, success),
        str(replayed[spec["operationId"]] or "-"),
        spec.get("x-remembers", "-"),
        spec.get("x-made-up", "-"),
    )
    return f"| {' | '.join(cells)} |"


def examples(name: str) -> Counter[str]:
    """How many runnable examples of the provider's document each operation has; all are replayed."""
    path = HERE / "documents" / f"{name}.yaml"
    if not path.exists():
        return Counter()
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))["examples"]
    return Counter(each["operation"] for each in rows if each["kind"] == "curl" and "operation" in each)


def claimed(name: str) -> int:
    """How many claims there are on a provider; each has a test of its name."""
    return len(yaml.safe_load((HERE / "claims" / f"{name}.yaml").read_text(encoding="utf-8")))


def written(text: str) -> str:
    """A page with the table in its place."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}{END}{after}"


def _confidence(document: Any, operation: Any, part: Any) -> str:
    """How sure the contract is of a part of an operation: the weakest word on the whole, and on what is within."""
    said = set(_said(document, part, set()))
    if operation.get("x-confidence") == "inferred" or _of_the_whole(document, part) == "inferred":
        return "inferred"
    return f"documented, {' and '.join(sorted(said))} in part" if said else "documented"


def _of_the_whole(document: Any, part: Any) -> str:
    """What is said of a response, or of the schema of its JSON, or of the result in its envelope."""
    found = resolve(document, part)
    schema = found.get("content", {}).get("application/json", {}).get("schema", {})
    for each in (found, resolve(document, schema), *_results(document, schema)):
        if "x-confidence" in each:
            return each["x-confidence"]
    return "documented"


def _results(document: Any, schema: Any) -> list[Any]:
    inner = [each.get("properties", {}).get("result") for each in resolve(document, schema).get("allOf", ())]
    return [resolve(document, each) for each in inner if each is not None]


def _said(document: Any, value: Any, seen: set[str]) -> list[str]:
    """Every word but `documented` that stands in a value or in what it refers to."""
    if isinstance(value, list):
        return [word for each in value for word in _said(document, each, seen)]
    if not isinstance(value, dict):
        return []
    own = [value["x-confidence"]] if value.get("x-confidence", "documented") != "documented" else []
    if "$ref" in value and value["$ref"] not in seen:
        seen.add(value["$ref"])
        own += _said(document, resolve(document, value), seen)
    return own + [word for each in value.values() for word in _said(document, each, seen)]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
