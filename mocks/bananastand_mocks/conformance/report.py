"""Reports of outcomes as JSON, as JUnit XML and as a diff."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from .outcome import CheckOutcome

__all__ = ["as_diff", "as_json", "as_junit"]


def as_json(provider: str, base_url: str, outcomes: Sequence[CheckOutcome], *, write: bool) -> dict[str, Any]:
    """Return one object; `checks` are in the order in which they were made."""
    counts = Counter(outcome.result for outcome in outcomes)
    return {
        "provider": provider,
        "base_url": base_url,
        "write": write,
        "summary": {result: counts[result] for result in ("passed", "failed", "skipped")},
        "checks": [
            {
                "operation": outcome.operation,
                "check": outcome.title,
                "request": outcome.request,
                "status": outcome.status,
                "result": outcome.result,
                "reason": outcome.reason,
                "differences": [asdict(difference) for difference in outcome.differences],
            }
            for outcome in outcomes
        ],
    }


def as_junit(provider: str, outcomes: Sequence[CheckOutcome]) -> str:
    """Return a test suite with one test case a check, as CI systems read it."""
    counts = Counter(outcome.result for outcome in outcomes)
    suite = ElementTree.Element(
        "testsuite",
        name=f"conform {provider}",
        tests=str(len(outcomes)),
        failures=str(counts["failed"]),
        skipped=str(counts["skipped"]),
        errors="0",
    )
    for outcome in outcomes:
        name = f"{provider}.{outcome.operation}"
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=outcome.title)
        if outcome.reason is not None:
            ElementTree.SubElement(case, "skipped", message=outcome.reason)
        elif outcome.differences:
            first = outcome.differences[0]
            message = f"{first.where}: the contract has {first.contract}, the answer {first.answer}"
            ElementTree.SubElement(case, "failure", message=_printable(message)).text = _printable(as_diff([outcome]))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def as_diff(outcomes: Sequence[CheckOutcome]) -> str:
    """Return where responses differ from the contract: its line with -, theirs with +; empty without differences."""
    lines: list[str] = []
    for outcome in outcomes:
        if outcome.result == "failed":
            lines.append(f"@@ {outcome.operation}, {outcome.title} ({outcome.request}) @@")
        for difference in outcome.differences:
            lines += [f"- {difference.where}: {difference.contract}", f"+ {difference.where}: {difference.answer}"]
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Replace what XML cannot hold by question marks."""
    return "".join(letter if letter in "\n\t" or letter.isprintable() else "?" for letter in text)
