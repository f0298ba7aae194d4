"""Outcomes as JSON, as JUnit and as a diff. Knows no HTTP and no terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from .outcome import Outcome

__all__ = ["as_diff", "as_json", "as_junit"]


def as_json(provider: str, base_url: str, outcomes: Sequence[Outcome], *, write: bool) -> dict[str, Any]:
    """One object; `checks` in the order in which they were made."""
    counted = Counter(each.result for each in outcomes)
    return {
        "provider": provider,
        "base_url": base_url,
        "write": write,
        "summary": {result: counted[result] for result in ("passed", "failed", "skipped")},
        "checks": [
            {
                "operation": each.operation,
                "check": each.title,
                "request": each.request,
                "status": each.status,
                "result": each.result,
                "reason": each.reason,
                "differences": [
                    {"where": part.where, "contract": part.contract, "answer": part.answer} for part in each.differences
                ],
            }
            for each in outcomes
        ],
    }


def as_junit(provider: str, outcomes: Sequence[Outcome]) -> str:
    """A test suite with a test case for each check, as CI systems read it."""
    counted = Counter(each.result for each in outcomes)
    suite = ElementTree.Element(
        "testsuite",
        name=f"conform {provider}",
        tests=str(len(outcomes)),
        failures=str(counted["failed"]),
        skipped=str(counted["skipped"]),
        errors="0",
    )
    for each in outcomes:
        case = ElementTree.SubElement(suite, "testcase", classname=f"{provider}.{each.operation}", name=each.title)
        if each.reason is not None:
            ElementTree.SubElement(case, "skipped", message=each.reason)
        elif each.differences:
            first = each.differences[0]
            told = f"{first.where}: the contract has {first.contract}, the answer {first.answer}"
            ElementTree.SubElement(case, "failure", message=_printable(told)).text = _printable(as_diff([each]))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def as_diff(outcomes: Sequence[Outcome]) -> str:
    """Where answers and contract part: the contract's line with -, the answer's with +; nothing where they do not."""
    lines: list[str] = []
    for each in outcomes:
        if each.result == "failed":
            lines.append(f"@@ {each.operation}, {each.title} ({each.request}) @@")
        for part in each.differences:
            lines += [f"- {part.where}: {part.contract}", f"+ {part.where}: {part.answer}"]
    return "\n".join(lines)


def _printable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(letter if letter in "\n\t" or letter.isprintable() else "?" for letter in text)
