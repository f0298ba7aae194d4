"""The claims: each named once, with its source and how sure it is. That they hold is tested elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

CLAIMS = Path(__file__).parent / "claims"
STATUSES = {"documented", "contradictory", "inferred", "observed"}
LAST_LINES = {"A": 181, "B": 375, "C": 421}


def claims(name: str) -> list[Any]:
    return yaml.safe_load((CLAIMS / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["bananadev", "falai", "banana-native", "fal-native", "gobananas"])
def test_a_claim_has_five_fields_and_a_name_of_its_own(name: str):
    rows = claims(name)
    assert [each for each in rows if set(each) != {"id", "says", "source", "kind", "status"}] == []
    assert {each["status"] for each in rows} <= STATUSES
    ids = [each["id"] for each in rows]
    assert len(ids) == len(set(ids))
    assert [each for each in ids if not re.fullmatch(rf"{name}(\.[a-z0-9-]+)+", each)] == []


@pytest.mark.parametrize(("name", "document"), [("bananadev", "A"), ("falai", "C"), ("gobananas", "B")])
def test_a_claim_on_a_document_cites_lines_that_exist(name: str, document: str):
    for each in claims(name):
        lines = re.fullmatch(rf"{document}:\d+(-\d+)?(, {document}:\d+(-\d+)?)*", each["source"])
        assert lines is not None, each["id"]
        assert max(int(line) for line in re.findall(r"\d+", each["source"])) <= LAST_LINES[document]
