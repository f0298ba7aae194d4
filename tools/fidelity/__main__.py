"""Writes docs/fidelity.md from the contracts, their claims, the documents' examples and what the tests did.

`python -m tools.fidelity` writes the page. With `--record` it first runs the tests and records what each does
(evidence.py); with names of test files behind that, it runs those only. A test checks that the page is up to date.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LEGS = ROOT / "contract_tests"
PATHS = [str(ROOT / text) for text in ("", "mocks", "contract_tests/support", "tests/support")]
sys.path[:0] = PATHS

from client_calls import CLIENTS, NOT_FOR_CLIENTS  # noqa: E402
from contracts import FILES, Operation, contract, operations, resolve  # noqa: E402
from examples import DIFFERING, answers_of_documents  # noqa: E402
from snippets import snippets  # noqa: E402
from tools.fidelity.evidence import RECORD, Fact, stored, write  # noqa: E402
from witness_fields import fields, witnessed  # noqa: E402
from witnesses import is_accepted, witnesses  # noqa: E402

__all__ = ["PAGE", "page"]

PAGE = ROOT / "docs" / "fidelity.md"
AXES = ("operation", "served", "our client", "its snippets", "example", "schema", "errors got", "lives", "live")
WITNESSES = ("client", "witnesses", "readings", "refused before", "refused now", "fields", "inferred")
WORDS = ("operation", "address", "request", "response", "state that it keeps", "invented by the mock")


def page() -> str:
    """Returns the page: all contracts, in the order of their files."""
    facts = stored()
    parts = [(HERE / "head.md").read_text(encoding="utf-8"), *witness_rows(), ""]
    for name in FILES:
        document = contract(name)
        own = [operation for operation in operations(document) if "operationId" in operation.spec]
        parts += [f"## {name}", "", f"{len(own)} operations, {claimed(name)} claims, each with a test.", ""]
        parts += [_heads(AXES), *(axes(name, item, facts) for item in own), ""]
        parts += [_heads(WORDS), *(words(item) for item in own), ""]
    return "\n".join(parts)


def witness_rows() -> list[str]:
    """Returns the table of the witnesses: how the clients read them, and how many fields none of them shows."""
    rows = [_heads(WITNESSES)]
    for name in CLIENTS:
        own = [witness for witness in witnesses() if witness.provider == name]
        readings = [(witness, method) for witness in own for method in witness.methods]
        cells = (
            f"`{name}`",
            len(own),
            len(readings),
            sum(len(witness.refused_before) for witness in own),
            sum(not is_accepted(witness, method) for witness, method in readings),
            len(fields(name)),
            sum(field.inferred and place not in witnessed(name) for place, field in fields(name).items()),
        )
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return rows


def axes(name: str, found: Operation, facts: dict[Fact, list[str]]) -> str:
    """Returns the row of an operation in the table of evidence."""
    operation = found.spec["operationId"]
    got = {what: tests for (provider, value, what), tests in facts.items() if (provider, value) == (name, operation)}
    statuses = [status for status in found.spec["responses"] if status.isdigit()]
    errors = [status for status in statuses if int(status) >= 400]
    answered = [status for status in statuses if f"answered {status}" in got]
    seen = [status for status in statuses if status in answered or f"provoked {status}" in got]
    success = next(status for status in statuses if int(status) < 400)
    client = name in CLIENTS and operation not in NOT_FOR_CLIENTS.get(name, ())
    cells = (
        f"`{operation}`",
        "yes" if success in answered else "no",
        ("yes" if "client" in got else "no") if client else "none",
        _snippets(name, operation, "snippet" in got),
        _example(name, operation),
        _of(seen, statuses),
        _of([status for status in errors if status in answered], errors) if errors else "-",
        str(len(got.get("life", ()))),
        "0",
    )
    return f"| {' | '.join(cells)} |"


def words(found: Operation) -> str:
    """Returns the row of an operation in the table of what its contract says; `-` where it says nothing."""
    spec = found.spec
    request = {"parameters": found.parameters, "body": spec.get("requestBody", {})}
    success = next(value for status, value in spec["responses"].items() if str(status)[0] in "23")
    cells = (
        f"`{spec['operationId']}`",
        f"`{found}`",
        _confidence(found.document, spec, request),
        _confidence(found.document, spec, success),
        spec.get("x-remembers", "-"),
        spec.get("x-made-up", "-"),
    )
    return f"| {' | '.join(cells)} |"


def claimed(name: str) -> int:
    """Returns the number of claims on a provider."""
    return len(yaml.safe_load((LEGS / "contracts" / "claims" / f"{name}.yaml").read_text(encoding="utf-8")))


def record(files: set[str]) -> None:
    """Runs the tests of these files and records what they did."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {RECORD: folder, "PYTHONPATH": os.pathsep.join(PATHS[1:])}
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile"]
        done = subprocess.run([*command, *(str(LEGS / file) for file in files)], cwd=ROOT, env=environment)
        if done.returncode:
            sys.exit("the tests must pass to be recorded")
        write(Path(folder), files)


def _heads(names: tuple[str, ...]) -> str:
    return f"| {' | '.join(names)} |\n{'| --- ' * len(names)}|"


def _of(some: list[str], every: list[str]) -> str:
    missing = [status for status in every if status not in some]
    count = f"{len(some)}/{len(every)}"
    return f"{count}, not {', '.join(missing)}" if missing else count


def _snippets(name: str, operation: str, ran: bool) -> str:
    """Returns how many snippets ran. A replay test fails if one of its snippets gets no success."""
    if not (LEGS / "documents" / f"{name}.yaml").exists():
        return "-"
    count = Counter(snippet.operation for snippet in snippets(name, "curl", "javascript", "python"))[operation]
    return (f"{count}/{count}" if ran else f"0/{count}") if count else "-"


def _example(name: str, operation: str) -> str:
    own = [answer for answer in answers_of_documents() if (answer.provider, answer.operation) == (name, operation)]
    if not own:
        return "-"
    other = sorted({place for item in own for place in DIFFERING.get(str(item), ())})
    return f"yes, but {', '.join(f'`{place}`' for place in other)}" if other else "yes"


def _confidence(document: Any, operation: Any, part: Any) -> str:
    """Returns how sure the contract is of a request or response: the weakest word on it, and on its parts."""
    levels = set(_confidences_within(document, part, set()))
    if operation.get("x-confidence") == "inferred" or _overall(document, part) == "inferred":
        return "inferred"
    return f"documented, {' and '.join(sorted(levels))} in part" if levels else "documented"


def _overall(document: Any, part: Any) -> str:
    """Returns the confidence in a response, in the schema of its JSON, or in the result in its envelope."""
    found = resolve(document, part)
    schema = found.get("content", {}).get("application/json", {}).get("schema", {})
    for result in (found, resolve(document, schema), *_results(document, schema)):
        if "x-confidence" in result:
            return result["x-confidence"]
    return "documented"


def _results(document: Any, schema: Any) -> list[Any]:
    inner = [item.get("properties", {}).get("result") for item in resolve(document, schema).get("allOf", ())]
    return [resolve(document, item) for item in inner if item is not None]


def _confidences_within(document: Any, value: Any, seen: set[str]) -> list[str]:
    """Returns every confidence but `documented` in a value and in what it refers to."""
    if isinstance(value, list):
        return [word for item in value for word in _confidences_within(document, item, seen)]
    if not isinstance(value, dict):
        return []
    own = [value["x-confidence"]] if value.get("x-confidence", "documented") != "documented" else []
    if "$ref" in value and value["$ref"] not in seen:
        seen.add(value["$ref"])
        own += _confidences_within(document, resolve(document, value), seen)
    return own + [word for item in value.values() for word in _confidences_within(document, item, seen)]


if __name__ == "__main__":
    if "--record" in sys.argv[1:]:
        every = {path.relative_to(LEGS).as_posix() for path in LEGS.rglob("test_*.py")} - {"contracts/test_fidelity.py"}
        record(set(sys.argv[2:]) or every)
    PAGE.write_text(page(), encoding="utf-8")
