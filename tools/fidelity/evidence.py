"""What the tests really did to the mocks, noted while they run, and held against what docs/fidelity.md says they do.

`evidence.json` names, for each operation and each thing the page says of it, one test. That test fails where it passes
and no longer does it. `python -m tools.fidelity --record` runs the tests and writes the file anew;
with names of test files behind it, it runs those alone.
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

__all__ = ["FILE", "RECORD", "Fact", "noting", "stored", "write", "write_part"]

FILE = Path(__file__).parent / "evidence.json"
LEGS = Path(__file__).resolve().parents[2] / "contract_tests"
RECORD = "FIDELITY_RECORD"  # the folder that a run which records writes to
LEFT_OUT = ("test_properties",)  # what Hypothesis sends is not the same in every version of it

# (provider, operation, what): "answered 404", "provoked 500", "client", "snippet" or "life".
Fact = tuple[str, str, str]

_noted: set[Fact] | None = None
_file = ""
_seen: dict[str, set[Fact]] = {}


def _note(record: Any) -> Any:
    def noting_record(self: Journal, **fields: Any) -> None:
        if _noted is not None and fields["operation"] is not None:
            provoked = bool(fields.get("faults"))
            _noted.update(
                _facts(fields["provider"], fields["operation"], fields["status"], provoked, fields["headers"])
            )
        record(self, **fields)

    return noting_record


Journal.record = _note(Journal.record)  # type: ignore[method-assign]


def _facts(provider: str, operation: str, status: int, provoked: bool, headers: Any) -> Iterator[Fact]:
    yield provider, operation, f"{'provoked' if provoked else 'answered'} {status}"
    if provoked or status >= 400:
        return
    if headers.get("user-agent") == AGENT:
        yield provider, operation, "client"
        if _file.startswith("test_client_lives"):
            yield provider, operation, "life"
    if _file.startswith("test_replay"):
        yield provider, operation, "snippet"


@contextmanager
def noting(item: pytest.Item) -> Iterator[None]:
    """Note what is called while the test runs. Raises AssertionError if it is not what the page says it does."""
    global _noted, _file
    _noted, _file = set(), item.path.name
    try:
        yield
        done = _noted
    finally:
        _noted = None
    if item.path.name.startswith(LEFT_OUT):
        return
    name = f"{item.path.relative_to(LEGS).as_posix()}::{item.nodeid.partition('::')[2]}"
    if os.environ.get(RECORD):
        _seen[name] = done
        return
    missing = [what for what in _wanted().get(name, ()) if what not in done]
    assert not missing, f"docs/fidelity.md says that this test does {missing}; python -m tools.fidelity --record"


def stored() -> dict[Fact, list[str]]:
    """The facts of the file, each with the tests that show it: one, and every one of a life."""
    rows = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return {
        (provider, operation, what): tests
        for provider, operations in rows.items()
        for operation, facts in operations.items()
        for what, tests in facts.items()
    }


def write_part() -> None:
    """What this process noted, into the folder of the run."""
    if (folder := os.environ.get(RECORD)) and _seen:
        rows = {name: sorted(facts) for name, facts in _seen.items()}
        (Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(rows), encoding="utf-8")


def write(folder: Path, files: set[str]) -> None:
    """Write the file anew: what the parts of a run have, and of tests in other files than those what it had before."""
    shown = {fact: {each for each in tests if each.partition("::")[0] not in files} for fact, tests in stored().items()}
    for part in sorted(folder.glob("*.json")):
        for name, facts in json.loads(part.read_text(encoding="utf-8")).items():
            for provider, operation, what in facts:
                shown.setdefault((provider, operation, what), set()).add(name)
    rows: dict[str, Any] = {}
    for (provider, operation, what), tests in sorted(shown.items()):
        lives = {each.replace("[async]", "[sync]") for each in tests}  # one for both kinds of client
        if tests:
            told = sorted(lives) if what == "life" else [min(tests)]
            rows.setdefault(provider, {}).setdefault(operation, {})[what] = told
    FILE.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _wanted() -> dict[str, set[Fact]]:
    global _by_test
    if _by_test is None:
        _by_test = {}
        for fact, tests in stored().items():
            for test in tests:
                _by_test.setdefault(test, set()).add(fact)
    return _by_test


_by_test: dict[str, set[Fact]] | None = None
