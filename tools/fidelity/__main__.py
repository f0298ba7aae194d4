"""docs/fidelity.md, made of the contracts, their claims, the documents' examples and what the tests really did.

`python -m tools.fidelity` writes it anew, with `--record` after running the tests and noting what each does
(evidence.py). A test holds the page to this, and the tests that it names to what they do. The axes stand side by side
and are never summed.
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

__all__ = ["PAGE", "page"]

PAGE = ROOT / "docs" / "fidelity.md"
AXES = ("operation", "served", "our client", "its snippets", "example", "schema", "errors got", "lives", "live")
WORDS = ("operation", "at", "its request is", "its answer is", "what it remembers", "what is made up")


def page() -> str:
    """All contracts, one after the other, in the order of their files."""
    facts = stored()
    parts = [(HERE / "head.md").read_text(encoding="utf-8")]
    for name in FILES:
        document = contract(name)
        own = [operation for operation in operations(document) if "operationId" in operation.spec]
        parts += [f"## {name}", "", f"{len(own)} operations, {claimed(name)} claims, each with a test of its name.", ""]
        parts += [_heads(AXES), *(axes(name, item, facts) for item in own), ""]
        parts += [_heads(WORDS), *(words(item) for item in own), ""]
    return "\n".join(parts)


def axes(name: str, found: Operation, facts: dict[Fact, list[str]]) -> str:
    """What is shown of one operation."""
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
    """What the contract says of one operation. `-` where there is nothing to say."""
    spec = found.spec
    asked = {"parameters": found.parameters, "body": spec.get("requestBody", {})}
    success = next(value for status, value in spec["responses"].items() if str(status)[0] in "23")
    cells = (
        f"`{spec['operationId']}`",
        f"`{found}`",
        _confidence(found.document, spec, asked),
        _confidence(found.document, spec, success),
        spec.get("x-remembers", "-"),
        spec.get("x-made-up", "-"),
    )
    return f"| {' | '.join(cells)} |"


def claimed(name: str) -> int:
    """How many claims there are on a provider; each has a test of its name."""
    return len(yaml.safe_load((LEGS / "contracts" / "claims" / f"{name}.yaml").read_text(encoding="utf-8")))


def record(files: set[str]) -> None:
    """Run the tests of these files, and write down what they did."""
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
    told = f"{len(some)}/{len(every)}"
    return f"{told}, not {', '.join(missing)}" if missing else told


def _snippets(name: str, operation: str, ran: bool) -> str:
    """Every replay is a test that fails if one of an operation's snippets gets no success."""
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
    """How sure the contract is of a part of an operation: the weakest word on the whole, and on what is within."""
    said = set(_said(document, part, set()))
    if operation.get("x-confidence") == "inferred" or _of_the_whole(document, part) == "inferred":
        return "inferred"
    return f"documented, {' and '.join(sorted(said))} in part" if said else "documented"


def _of_the_whole(document: Any, part: Any) -> str:
    """What is said of a response, or of the schema of its JSON, or of the result in its envelope."""
    found = resolve(document, part)
    schema = found.get("content", {}).get("application/json", {}).get("schema", {})
    for result in (found, resolve(document, schema), *_results(document, schema)):
        if "x-confidence" in result:
            return result["x-confidence"]
    return "documented"


def _results(document: Any, schema: Any) -> list[Any]:
    inner = [item.get("properties", {}).get("result") for item in resolve(document, schema).get("allOf", ())]
    return [resolve(document, item) for item in inner if item is not None]


def _said(document: Any, value: Any, seen: set[str]) -> list[str]:
    """Every word but `documented` that stands in a value or in what it refers to."""
    if isinstance(value, list):
        return [word for item in value for word in _said(document, item, seen)]
    if not isinstance(value, dict):
        return []
    own = [value["x-confidence"]] if value.get("x-confidence", "documented") != "documented" else []
    if "$ref" in value and value["$ref"] not in seen:
        seen.add(value["$ref"])
        own += _said(document, resolve(document, value), seen)
    return own + [word for item in value.values() for word in _said(document, item, seen)]


if __name__ == "__main__":
    if "--record" in sys.argv[1:]:
        every = {path.relative_to(LEGS).as_posix() for path in LEGS.rglob("test_*.py")} - {"contracts/test_fidelity.py"}
        record(set(sys.argv[2:]) or every)
    PAGE.write_text(page(), encoding="utf-8")
