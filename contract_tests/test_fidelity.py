"""The fidelity table is what the contracts say, and speaks of every operation."""

from __future__ import annotations

import pytest
from contracts import FILES, contract, operations
from fidelity import BEGIN, END, PAGE, written


def test_the_page_has_the_table_as_it_is_made():
    text = PAGE.read_text(encoding="utf-8")
    assert BEGIN in text
    assert END in text
    assert written(text) == text, "python contract_tests/fidelity.py writes it anew"


@pytest.mark.parametrize("name", FILES)
def test_every_operation_is_spoken_of(name: str):
    shown = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].partition(f"**{name}**")[2]
    for each in operations(contract(name)):
        if "operationId" in each.spec:
            assert f"| `{each.spec['operationId']}` | `{each}` |" in shown


@pytest.mark.parametrize("name", ["bananadev", "falai", "banana-native", "fal-native"])
def test_an_operation_that_changes_something_says_what_it_remembers(name: str):
    changing = [each for each in operations(contract(name)) if each.method != "get" and "operationId" in each.spec]
    harmless = {"warmup_project", "estimate_pricing"}
    silent = [each.spec["operationId"] for each in changing if "x-remembers" not in each.spec]
    assert set(silent) <= harmless
