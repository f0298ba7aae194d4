"""Every example of document D (PaperBanana) fits the contract transcribed from it."""

from __future__ import annotations

import json
import re
import shlex
import pytest
from contracts import contract, errors, operations, resolve
from examples import cites, declared, documented_operations, operation_of
from snippets import Snippet, snippets

CONTRACT = contract("paperbanana")
COUNTS = {"url": 1, "header": 1, "status": 5, "error": 1, "path": 13, "parameter": 60, "answer": 10, "fragment": 5,
          "webhook": 1, "delivery": 1, "curl": 15, "javascript": 12, "python": 15}  # fmt: skip
PARAMETER = re.compile(r"([a-z_0-9]+?)(string|integer|boolean|array\[string\])(Yes|No)?")
KEYWORDS = {"string": "string", "integer": "integer", "boolean": "boolean", "array[string]": "array"}
ADMIN = {"create_key", "list_keys", "get_key", "update_key", "delete_key"}


def test_all_examples_of_the_document_are_stored():
    assert {kind: len(snippets("paperbanana", kind)) for kind in COUNTS} == COUNTS


def test_the_base_url_is_the_contracts_server():
    (base,) = snippets("paperbanana", "url")
    assert CONTRACT["servers"][0]["url"] == base.text


@pytest.mark.parametrize("example", snippets("paperbanana", "path"), ids=str)
def test_a_section_is_an_operation(example: Snippet):
    method, path = re.fullmatch(r"([A-Z]+)(/.*)", example.text).groups()  # type: ignore[union-attr]
    found = operation_of(example)
    assert (found.method, found.path) == (method.lower(), path)
    first, last = (int(line) for line in re.fullmatch(r"D:(\d+)-(\d+)", found.spec["x-source"]).groups())  # type: ignore[union-attr]
    assert first < example.lines[0] < last


@pytest.mark.parametrize("example", snippets("paperbanana", "parameter"), ids=str)
def test_a_row_of_a_table_is_a_parameter(example: Snippet):
    match = PARAMETER.fullmatch(example.text)
    assert match is not None
    name, kind, required = match.groups()
    parameter, needed = declared(operation_of(example), name, example.place)
    assert needed == (required != "No")
    assert cites(parameter["x-source"], example)
    kinds = parameter.get("type", "string" if "enum" in parameter else None)
    assert KEYWORDS[kind] in ([kinds] if isinstance(kinds, str) else kinds)


@pytest.mark.parametrize("example", snippets("paperbanana", "answer"), ids=str)
def test_a_documented_answer_fits_its_operation(example: Snippet):
    """The keys of D:772 and D:804 lack webhook_url, which D:739 has; the mock always sends it (see the contract)."""
    body, found = json.loads(example.text), operation_of(example)
    for row in body if isinstance(body, list) else [body]:
        if example.operation in ("list_keys", "get_key"):
            assert "webhook_url" not in row
            row["webhook_url"] = None
    status, response = next(iter(found.spec["responses"].items()))
    assert status.startswith("2")
    schema = resolve(CONTRACT, response)["content"]["application/json"]["schema"]
    assert errors(CONTRACT, schema, body) == []


@pytest.mark.parametrize("example", snippets("paperbanana", "fragment"), ids=str)
def test_a_fragment_is_part_of_a_body(example: Snippet):
    found, fragment = operation_of(example), json.loads(example.text)
    required = dict.fromkeys(found.body["required"], "a")
    assert fragment.keys() <= found.body["properties"].keys()
    assert errors(CONTRACT, found.body, {**required, **fragment}) == []


@pytest.mark.parametrize("example", snippets("paperbanana", "curl"), ids=str)
def test_a_curl_is_a_request_of_its_operation(example: Snippet):
    found = operation_of(example)
    text = example.text.partition("\n")[2] if example.text.startswith("PDF_B64=") else example.text
    words = shlex.split(text.replace("\\\n", " ").replace("${PDF_B64}", "JVBERi0="))
    flags = {flag: words[i + 1] for i, flag in enumerate(words) if flag in ("-X", "-d", "-o")}
    url = next(word for word in words if word.startswith("https://"))
    path = url.removeprefix("https://api.paperbanana.me").partition("?")[0]
    assert flags.get("-X", "GET").lower() == found.method
    assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", found.path), path)
    authorization = None if found.anonymous else f"Bearer {'YOUR_ADMIN_KEY' if example.operation in ADMIN else 'pb_'}"
    sent = next((word for word in words if word.startswith("Authorization: ")), None)
    assert sent is None if authorization is None else sent is not None and sent.startswith(f"Authorization: {authorization}")
    if found.body is not None:
        assert errors(CONTRACT, found.body, json.loads(flags["-d"])) == []


def test_the_documented_webhook_fits():
    (snippet,) = snippets("paperbanana", "webhook")
    schema = CONTRACT["components"]["schemas"]["WebhookPayload"]
    payload = json.loads(snippet.text)
    assert errors(CONTRACT, schema, payload) == []
    assert list(payload) == list(schema["properties"])
    for key in payload:
        assert errors(CONTRACT, schema, {name: value for name, value in payload.items() if name != key}) != []


def test_the_headers_of_a_delivery_are_those_shown():
    (snippet,) = snippets("paperbanana", "delivery")
    headers = dict(line.split(": ") for line in snippet.text.splitlines()[1:])
    headers_declared = {parameter["name"]: parameter for parameter in CONTRACT["webhooks"]["task_finished"]["post"]["parameters"]}
    assert headers.keys() - {"Content-Type"} == headers_declared.keys()
    assert headers["User-Agent"] == headers_declared["User-Agent"]["schema"]["const"]


def test_a_documented_error_fits():
    (snippet,) = snippets("paperbanana", "error")
    assert errors(CONTRACT, CONTRACT["components"]["schemas"]["Error"], json.loads(snippet.text)) == []


@pytest.mark.parametrize("example", snippets("paperbanana", "status"), ids=str)
def test_a_listed_status_is_in_the_operations_it_can_come_from(example: Snippet):
    without = {
        op.spec["operationId"]
        for op in operations(CONTRACT)
        if example.text not in op.spec["responses"] and not op.anonymous
    }
    expected = {
        "401": set[str](),
        "403": ADMIN | {"list_history", "get_history"},
        "404": {"create_diagram", "create_diagram_from_pdf", "optimize_prompt", "create_plot", "create_key",
                "list_keys", "list_history"},
        "422": {"list_keys", "get_key", "delete_key", "get_history"},
        "500": set[str](),
    }  # fmt: skip
    assert without == expected[example.text]


def test_an_operation_called_documented_has_a_section():
    in_document = {snippet.operation for snippet in snippets("paperbanana", "path")}
    assert in_document == documented_operations("paperbanana")
