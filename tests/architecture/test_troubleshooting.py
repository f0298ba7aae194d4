"""The troubleshooting page says what the program says: each advice is given for the lines above it, each text is in
the source."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from bananastand.platform.replicas.advice import advice
from bananastand.platform.replicas.advice.details import POTASSIUM
from bananastand.platform.replicas.advice.rules import RULES, AdviceRule

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ADVISED = [block for block in BLOCKS if "\nadvice: " in block]
OURS = [line for block in BLOCKS if block not in ADVISED for line in block.splitlines()]
LEAST = 14  # characters of a text of the source that a line must have in common with it


@pytest.mark.parametrize("block", ADVISED, ids=lambda block: block.partition("\nadvice: ")[0].rpartition("\n")[2][:60])
def test_the_page_gives_the_advice_that_the_platform_gives(block: str) -> None:
    printed, _, expected = block.partition("\nadvice: ")

    assert advice(printed.splitlines()) == expected.rstrip("\n")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.why[:50])
def test_every_advice_is_on_the_page(rule: AdviceRule) -> None:
    why = re.escape(rule.why)
    pattern = re.sub(r"\\\{(\w+)\\\}", ".*", why)

    assert re.search(rf"^advice: {pattern} ", PAGE, re.MULTILINE), f"docs/troubleshooting.md lacks: {why}"


@pytest.mark.parametrize("line", OURS)
def test_a_text_of_the_page_is_in_the_source(line: str) -> None:
    text = line.removeprefix("error: ")

    assert any(template.match(text) for template in templates()), f"no text of bananastand reads: {text}"


def test_a_text_that_the_source_lacks_is_noticed() -> None:
    assert not any(template.match("my-app is tired: let it sleep") for template in templates())


def test_the_table_of_potassium_is_the_one_of_the_advice() -> None:
    rows = re.findall(r"^\| (`.*`) \| `(.*)` \|$", PAGE, re.MULTILINE)
    names = {name: versions for cells, versions in rows for name in re.findall(r"`(\w+)[`(]", cells)}

    assert names == {"handler" if name == "gpu" else name: versions for name, versions in POTASSIUM.items()}


@cache
def templates() -> list[re.Pattern[str]]:
    """Every text in the source as a pattern, with anything where it has a value."""
    found = list[re.Pattern[str]]()
    for file in sorted((ROOT / "bananastand").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in (node for node in ast.walk(tree) if id(node) not in docstrings):
            pieces = (
                node.values if isinstance(node, ast.JoinedStr) else [node] if isinstance(node, ast.Constant) else []
            )
            texts = [piece.value if isinstance(piece, ast.Constant) else None for piece in pieces]
            if sum(len(text) for text in texts if isinstance(text, str)) >= LEAST:
                parts = (re.escape(text) if isinstance(text, str) else ".*" for text in texts)
                found.append(re.compile("".join(parts) + ".*"))
    return found
