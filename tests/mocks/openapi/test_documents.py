"""Documents that cannot be served are refused with file, line, place and reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bananastand_mocks.openapi import DocumentError, OpenApiProvider
from bananastand_mocks.server import Server

HEAD = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\n"
GET, POST = "paths:\n  /a:\n    get:\n", "paths:\n  /a:\n    post:\n"
ODD = "components:\n  schemas:\n    Odd: {type: objekt}\n"
WRONG = "{application/json: {schema: {pattern: '('}}}"
CONTENT = "content: {application/json: {schema: {$ref: '#/components/schemas/Odd'}}}"
BOMB = "".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n" for n in range(9))
LOOP = "components: {requestBodies: {A: {$ref: '#/components/requestBodies/A'}}}"
ENDLESS = "components: {schemas: {Odd: {oneOf: [{$ref: '#/components/schemas/Odd'}]}}}"
REF = "{$ref: '#/components/schemas/Odd'}"
GOOD = "responses: {'200': {description: ok}}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("openapi: 3.1.0\npaths: [", r":3:1: no YAML: "),
        ('{"openapi": "3.1.0",}', r" is no JSON: .*line 1 column"),
        ("- 1", ":1: no OpenAPI document: the key openapi is missing"),
        ("swagger: '2.0'\npaths: {}", r":1: OpenAPI 2\.0 is not served, only 3\.0 and 3\.1: convert the document"),
        (HEAD, r": the document: \"paths\" is a required property"),
        (f"{HEAD.replace('3.1', '3.0')}{GET}      summary: x\n", r":5: paths > /a > get: \"responses\" is a required"),
        (f"{HEAD.replace('3.1', '3.0')}webhooks: {{}}\n", r": the document: \"paths\" is a required property"),
        (f"{HEAD}paths:\n  a:\n    get: {{{GOOD}}}\n", ":3: paths: "),
        (f"{HEAD}{GET}      parameters:\n      - {{name: x}}\n      {GOOD}\n",
         r":7: paths > /a > get > parameters > 0: \"in\" is a required property"),
        (f"{HEAD}{GET}      responses:\n        '2000': {{description: ok}}\n", ":6: paths > /a > get > responses: "),
        (f"{HEAD}{GET}      responses:\n        '200': {{$ref: '#/components/responses/No'}}\n",
         r":7: paths > /a > get > responses > 200 > \$ref: \$ref #/components/responses/No names nothing"),
        (f"{HEAD}{GET}      responses:\n        '200': {{$ref: other.yaml#/x}}\n",
         r":7: paths > /a > get > responses > 200 > \$ref: \$ref other.yaml#/x: there is no file other.yaml"),
        (f"{HEAD}{GET}      responses:\n        '200': {{$ref: ../other.yaml#/x}}\n",
         r":7: .*\$ref \.\./other.yaml#/x lies outside of .*: move it there"),
        (f"{HEAD}{GET}      responses:\n        '200': {{$ref: /etc/passwd}}\n", r":7: .* lies outside of "),
        (f"{HEAD}{GET}      responses:\n        '200': {{$ref: 'https://x.example/a.yaml#/x'}}\n",
         r":7: .* is an address: save it as a file beside the document"),
        (f"{HEAD}{GET}      responses:\n        '200': {{$ref: 'file:///etc/passwd'}}\n", r":7: .* is an address: "),
        (f"{HEAD}paths:\n  /a:\n    get: {{operationId: x, {GOOD}}}\n    put: {{operationId: x, {GOOD}}}\n",
         r":5: paths > /a > get > operationId: the operationId x comes 2 times"),
        (f"{HEAD}paths:\n  /a/{{b}}/{{b}}:\n    get: {{{GOOD}}}\n",
         r":5: paths > /a/\{b\}/\{b\} > get: a parameter comes twice"),
        (f"{HEAD}paths:\n  /a:\n    get: {{{GOOD}}}\n{ODD}", None),
        (f"{HEAD}{GET}      responses:\n        '200':\n          description: ok\n          {CONTENT}\n{ODD}",
         r":12: components > schemas > Odd: .*objekt"),
        (f"{HEAD}{POST}      {GOOD}\n      requestBody: {{content: {WRONG}}}\n",
         ":5: paths > /a > post: "),
        (f"{HEAD}{GET}      {GOOD}\nx-a: {'[' * 1000}{']' * 1000}", " is nested too deep"),
        ('{"a": ' + "[" * 100_000, " is nested too deep"),
        (f"{HEAD}x-a: &a [*a]\npaths: {{}}", " is nested too deep, or an alias contains itself: at most 150 levels"),
        (f"{HEAD}{BOMB}paths: {{}}", r" has \d{8,} values with its aliases written out: at most 5000000"),
        (f"{HEAD}x-a: .nan\npaths: {{}}", ": nan is no number of JSON"),
        (f"{HEAD}paths:\n  /a: {{$ref: '#/paths/~1a'}}", r":4: paths > /a > \$ref: .* leads back to itself"),
        (f"{HEAD}{POST}      {GOOD}\n      requestBody: {{$ref: '#/components/requestBodies/A'}}\n{LOOP}",
         r":7: .* leads back to itself"),
        (f"{HEAD}{GET}      parameters: [{{name: b, in: query, schema: {REF}}}]\n      {GOOD}\n{ENDLESS}",
         ": a schema has itself as an alternative or part"),
    ],
)  # fmt: skip
def test_a_wrong_document_is_refused_with_its_place(text: str, problem: str | None, tmp_path: Path) -> None:
    path = tmp_path / ("api.json" if text.startswith("{") else "api.yaml")
    path.write_text(text)
    if problem is None:  # a schema that no operation uses does no harm
        assert OpenApiProvider(path).name == "api"
        return

    with pytest.raises(DocumentError) as caught:
        OpenApiProvider(path)

    assert re.match(re.escape(str(path)) + f".*{problem}", str(caught.value), re.DOTALL), str(caught.value)


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="none.yaml cannot be read: No such file or directory"):
        OpenApiProvider.from_option(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        (",falai", "the name falai is taken"),
        (",w", "w cannot be its path"),
        (",../x", "cannot be its path: add another name, such as"),
    ],
)
def test_a_name_that_is_taken_or_no_path_is_refused(option: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(f"{HEAD}paths: {{/a: {{get: {{{GOOD}}}}}}}\n")

    with pytest.raises(DocumentError, match=re.escape(problem)):
        Server(["falai"], openapi=[f"{tmp_path / 'api.yaml'}{option}"])


def test_dates_and_numbers_as_keys_are_texts(tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(
        f"{HEAD}{GET}      responses:\n        200:\n          description: ok\n"
        "          content: {application/json: {example: {day: 2026-01-31}}}\n"
    )

    provider = OpenApiProvider(tmp_path / "api.yaml")

    assert provider.document["paths"]["/a"]["get"]["responses"]["200"]["content"] == {
        "application/json": {"example": {"day": "2026-01-31"}}
    }
