"""Records what the tests do to the mocks, and checks it against what docs/fidelity.md says they do.

`evidence.json` names a test for each fact of the page. The test fails if it no longer shows that fact.
`python -m tools.fidelity --record` runs the tests and writes the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bananastand.clients.call import AGENT
from bananastand_mocks.kernel.journal import Journal

__all__ = ["FILE", "RECORD", "Fact", "recording", "stored", "write", "write_part"]

FILE = Path(__file__).parent / "evidence.json"
LEGS = Path(__file__).resolve().parents[2] / "contract_tests"
RECORD = "FIDELITY_RECORD"  # an environment variable: the folder that a recording run writes to
LEFT_OUT = ("test_properties",)  # what Hypothesis sends differs between its versions

# (provider, operation, what): "answered 404", "provoked 500", "client", "snippet" or "life".
Fact = tuple[str, str, str]

_recorded: set[Fact] | None = None
_file = ""
_seen: dict[str, set[Fact]] = {}


def _record_calls(record: Any) -> Any:
    def recording_journal(self: Journal, **fields: Any) -> None:
        if _recorded is not None and fields["operation"] is not None:
            provoked = bool(fields.get("faults"))
            _recorded.update(
                _facts(fields["provider"], fields["operation"], fields["status"], provoked, fields["headers"])
            )
        record(self, **fields)

    return recording_journal


Journal.record = _record_calls(Journal.record)  # type: ignore[method-assign]


def _facts(provider: str, operation: str, status: int, provoked: bool, headers: Any) -> Iterator[Fact]:
    yield provider, operation, f"{'provoked' if provoked else 'answered'} {status}"
    if provoked or status >= 400:
        return
    if headers.get("user-agent") == AGENT:
        yield provider, operation, "client"
        if _file.startswith("test_lives"):
            yield provider, operation, "life"
    if _file.startswith("test_replay"):
        yield provider, operation, "snippet"


@contextmanager
def recording(item: pytest.Item) -> Iterator[None]:
    """Records the operations that a test calls.

    Raises:
        AssertionError: The test did not do what docs/fidelity.md says.
    """
    global _recorded, _file
    _recorded, _file = set(), item.path.name
    try:
        yield
        done = _recorded
    finally:
        _recorded = None
    if item.path.name.startswith(LEFT_OUT):
        return
    name = f"{item.path.relative_to(LEGS).as_posix()}::{item.nodeid.partition('::')[2]}"
    if os.environ.get(RECORD):
        _seen[name] = done
        return
    missing = [what for what in _facts_by_test().get(name, ()) if what not in done]
    assert not missing, f"docs/fidelity.md says that this test does {missing}; python -m tools.fidelity --record"


def stored() -> dict[Fact, list[str]]:
    """Returns the facts of evidence.json, each with the test that shows it; a scenario has all its tests."""
    rows = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return {
        (provider, operation, what): tests
        for provider, operations in rows.items()
        for operation, facts in operations.items()
        for what, tests in facts.items()
    }


def write_part() -> None:
    """Writes what this process recorded into the folder of the run."""
    if (folder := os.environ.get(RECORD)) and _seen:
        rows = {name: sorted(facts) for name, facts in _seen.items()}
        (Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(rows), encoding="utf-8")


def write(folder: Path, files: set[str]) -> None:
    """Writes evidence.json from the parts of a run; of tests in other files it keeps the earlier evidence."""
    evidence = {
        fact: {test for test in tests if test.partition("::")[0] not in files} for fact, tests in stored().items()
    }
    for part in sorted(folder.glob("*.json")):
        for name, facts in json.loads(part.read_text(encoding="utf-8")).items():
            for provider, operation, what in facts:
                evidence.setdefault((provider, operation, what), set()).add(name)
    rows: dict[str, Any] = {}
    for (provider, operation, what), tests in sorted(evidence.items()):
        lives = {test.replace("[async]", "[sync]") for test in tests}  # one row for both kinds of client
        if tests:
            named_tests = sorted(lives) if what == "life" else [min(tests)]
            rows.setdefault(provider, {}).setdefault(operation, {})[what] = named_tests
    FILE.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _facts_by_test() -> dict[str, set[Fact]]:
    global _by_test
    if _by_test is None:
        _by_test = {}
        for fact, tests in stored().items():
            for test in tests:
                _by_test.setdefault(test, set()).add(fact)
    return _by_test


_by_test: dict[str, set[Fact]] | None = None
