"""docs/fidelity.md is up to date, has every operation, and names tests that exist."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from contracts import FILES, contract, named_operations, operations
from tools.fidelity.__main__ import PAGE, page
from tools.fidelity.evidence import FILE, stored

LEGS = Path(__file__).resolve().parents[1]


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tools.fidelity writes it anew"


@pytest.mark.parametrize("name", FILES)
def test_every_operation_has_its_rows(name: str):
    section = PAGE.read_text(encoding="utf-8").partition(f"## {name}\n")[2].partition("\n## ")[0]
    documented = list(named_operations(contract(name)))

    assert documented
    for operation in documented:
        assert f"| `{operation.spec['operationId']}` | yes |" in section
        assert f"| `{operation.spec['operationId']}` | `{operation}` |" in section


def test_every_cell_names_a_test_that_exists():
    """That it does what the cell says is held by the test itself, see evidence.py."""
    named = {test.partition("[")[0] for tests in stored().values() for test in tests}
    files = {name.partition("::")[0] for name in named}
    written: set[str] = set()
    for file in files:
        tree = ast.parse((LEGS / file).read_text(encoding="utf-8"))
        written |= {f"{file}::{node.name}" for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert named - written == set()


def test_the_evidence_names_operations_that_exist():
    evidence = json.loads(FILE.read_text(encoding="utf-8"))

    assert set(evidence) == set(FILES)
    for name, rows in evidence.items():
        assert set(rows) <= {operation.spec.get("operationId") for operation in operations(contract(name))}


def test_no_operation_claims_a_comparison_with_the_real_service():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    axes = [line for line in rows if line.count(" | ") == 8]
    assert len(axes) == sum(
        "operationId" in operation.spec for name in FILES for operation in operations(contract(name))
    )
    assert all(line.endswith("| 0 |") for line in axes)


@pytest.mark.parametrize("name", ["bananadev", "falai", "banana-native", "fal-native"])
def test_an_operation_that_changes_something_says_what_it_remembers(name: str):
    changing = [
        operation
        for operation in operations(contract(name))
        if operation.method != "get" and "operationId" in operation.spec
    ]
    harmless = {"warmup_project", "estimate_pricing"}
    silent = [op.spec["operationId"] for op in changing if "x-remembers" not in op.spec]
    assert set(silent) <= harmless
