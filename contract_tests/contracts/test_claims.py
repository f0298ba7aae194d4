"""The claims: each has a name, a source and a confidence, and a test of its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
CLAIMS = HERE / "claims"
FILES = sorted(CLAIMS.glob("*.yaml"))
STATUSES = {"documented", "contradictory", "inferred", "observed"}
LAST_LINES = {"A": 181, "B": 375, "C": 421, "D": 873}
DOCUMENTS = {"bananadev": "A", "gobananas": "B", "falai": "C", "paperbanana": "D"}


def claims(name: str) -> list[Any]:
    return yaml.safe_load((CLAIMS / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [key.stem for key in FILES])
def test_a_claim_has_five_fields_and_a_name_of_its_own(name: str):
    rows = claims(name)
    assert [row for row in rows if set(row) != {"id", "says", "source", "kind", "status"}] == []
    assert {row["status"] for row in rows} <= STATUSES
    ids = [row["id"] for row in rows]
    assert len(ids) == len(set(ids))
    assert [item for item in ids if not re.fullmatch(rf"{name}(\.[a-z0-9-]+)+", item)] == []


@pytest.mark.parametrize("name", [key.stem for key in FILES if key.stem in DOCUMENTS])
def test_a_claim_on_a_document_cites_lines_that_exist(name: str):
    document = DOCUMENTS[name]
    rows = claims(name)
    assert rows
    for claim in rows:
        lines = re.fullmatch(rf"{document}:\d+(-\d+)?(, {document}:\d+(-\d+)?)*", claim["source"])
        assert lines is not None, claim["id"]
        assert max(int(line) for line in re.findall(r"\d+", claim["source"])) <= LAST_LINES[document]


@pytest.mark.parametrize("name", [key.stem for key in FILES])
def test_a_claim_has_a_test_of_its_name(name: str):
    """In test_claims_<name>.py, or in a file whose name begins so."""
    files = HERE.glob(f"test_claims_{name.replace('-', '_')}*.py")
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    written = {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    expected = {"test_" + re.sub("[.-]", "_", claim["id"]) for claim in claims(name)}
    assert expected - written == set()
