"""What tools read of a contract: this server first, an operationId for every address, an example of every operation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx2
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import bananastand_mocks
from bananastand.banana_api.gateway import GatewayApi
from bananastand.banana_api.native import NativeApi
from bananastand_mocks.kernel.provider import Provider
from bananastand_mocks.providers import NAMES, build
from contracts import errors, resolve
from in_process import InProcess
from snippets import Snippet, snippets

LIVE = {
    "bananadev": "https://api.lowcodeapi.com/bananadev",
    "falai": "https://api.lowcodeapi.com/falai",
    "banana-native": "https://api.banana.dev",
    "fal-native": "https://api.fal.ai",
    "fal-queue": "https://queue.fal.run",
    "gobananas": "https://gobananasai.com",
    "paperbanana": "https://api.paperbanana.me",
}
JSON = "application/json"


@cache
def provider_of(name: str) -> Provider:
    return build([name])[0]


@cache
def published(name: str) -> Any:
    return InProcess(provider_of(name))("GET", "/openapi.json").json()


def operations(name: str) -> Iterator[tuple[str, Any]]:
    for path, item in published(name)["paths"].items():
        for method, spec in item.items():
            if method != "parameters":
                yield f"{method} {path}", spec


def success(name: str, spec: Any) -> Any:
    status = next(status for status in spec["responses"] if status[0] in "23")
    return resolve(published(name), spec["responses"][status])


@pytest.mark.parametrize("name", LIVE)
def test_the_address_that_was_asked_is_the_first_server_and_the_live_one_the_second(name: str) -> None:
    assert [server["url"] for server in published(name)["servers"]] == ["http://mock", LIVE[name]]


@pytest.mark.parametrize("api", [GatewayApi(), NativeApi()], ids=["bananadev", "banana-native"])
def test_the_platform_names_itself_first(api: GatewayApi | NativeApi) -> None:
    base = f"https://stand.test{api.mount}"
    answer = api.early("GET", "/openapi.json", {}, base)

    assert answer is not None
    assert answer.body["servers"][0]["url"] == base


def test_a_world_of_its_own_is_named_as_it_was_asked() -> None:
    with bananastand_mocks.start("gobananas", "falai") as server:
        stand = server.stand()
        bases = {name: stand.endpoint(name).base_url for name in ("gobananas", "falai")}
        addresses = [
            f"{bases['gobananas']}/openapi.json",
            f"{bases['falai']}/openapi.json",
            f"{bases['falai']}/definition",
        ]
        first = [httpx2.get(address).json()["servers"][0]["url"] for address in addresses]

    assert first == [bases["gobananas"], bases["falai"], bases["falai"]]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_openapi_with_an_operation_id_for_every_address(name: str) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(published(name)).iter_errors()] == []
    ids = [spec["operationId"] for _, spec in operations(name)]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_has_examples_that_fit_it(name: str) -> None:
    document = published(name)
    assert document["paths"]
    for address, spec in operations(name):
        contents = [("answer", success(name, spec).get("content", {}))]
        if "requestBody" in spec:
            contents.append(("body", resolve(document, spec["requestBody"])["content"]))
        for what, content in contents:
            if JSON in content:
                value = content[JSON]["examples"]["example"]["value"]
                assert errors(document, content[JSON]["schema"], value) == [], f"{address}: {what}"
        for parameter in (resolve(document, parameter) for parameter in spec.get("parameters", ())):
            if "examples" in parameter:
                assert errors(document, parameter["schema"], parameter["examples"]["example"]["value"]) == [], address


def documented() -> list[Snippet]:
    """The first answer that each operation has in a document."""
    found = dict[str, Snippet]()
    for name in ("gobananas", "paperbanana"):
        for snippet in snippets(name, "response", "answer"):
            if snippet.operation is not None and snippet.text[0] in "{[":
                found.setdefault(f"{name} {snippet.operation}", snippet)
    return list(found.values())


@pytest.mark.parametrize("snippet", documented(), ids=str)
def test_an_answer_of_a_document_is_the_example(snippet: Snippet) -> None:
    spec = next(spec for _, spec in operations(snippet.provider) if spec["operationId"] == snippet.operation)
    example = success(snippet.provider, spec)["content"][JSON]["examples"]["example"]["value"]

    assert contains(example, json.loads(snippet.text))


def contains(value: Any, part: Any) -> bool:
    """Whether everything in `part` is in `value`, which may have further fields."""
    if isinstance(part, dict):
        return all(name in value and contains(value[name], item) for name, item in part.items())
    if isinstance(part, list):
        return len(value) == len(part) and all(contains(one, other) for one, other in zip(value, part, strict=True))
    return bool(value == part)


@pytest.mark.parametrize("name", NAMES)
def test_every_list_of_an_answer_says_what_is_in_it(name: str) -> None:
    untyped = [
        schema
        for _, spec in operations(name)
        for response in spec["responses"].values()
        for media in resolve(published(name), response).get("content", {}).values()
        for schema in arrays(published(name), media.get("schema", {}), ())
        if "items" not in schema
    ]
    assert untyped == []


def arrays(document: Any, schema: Any, above: tuple[str, ...]) -> Iterator[Any]:
    """Every schema of a list below a schema."""
    if not isinstance(schema, dict):
        return
    if "$ref" in schema:
        if schema["$ref"] not in above:
            yield from arrays(document, resolve(document, schema), (*above, schema["$ref"]))
        return
    if "array" in schema.get("type", ()):
        yield schema
    inner = [schema["items"]] if isinstance(schema.get("items"), dict) else []
    inner += [*schema.get("properties", {}).values()]
    inner += [part for keyword in ("allOf", "anyOf", "oneOf") for part in schema.get(keyword, ())]
    for part in inner:
        yield from arrays(document, part, above)


def boolean_schemas(node: Any, place: str = "") -> Iterator[str]:
    """The places whose schema is true or false, which generators of clients do not read."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from boolean_schemas(item, f"{place}/{number}")
    elif isinstance(node, dict):
        schemas = [node.get("schema"), node.get("items"), *(node.get("anyOf") or []), *(node.get("oneOf") or [])]
        properties = node.get("properties")
        schemas += properties.values() if isinstance(properties, dict) else []
        if any(isinstance(schema, bool) for schema in schemas):
            yield place
        for name, item in node.items():
            if name not in ("example", "examples"):
                yield from boolean_schemas(item, f"{place}/{name}")


@pytest.mark.parametrize("name", LIVE)
def test_no_schema_is_true_or_false(name: str) -> None:
    assert list(boolean_schemas(published(name))) == []


@pytest.mark.parametrize("name", LIVE)
def test_every_content_has_a_schema(name: str) -> None:
    """Generators of clients leave out an operation whose body has none."""
    assert [place for place, media in contents(published(name)) if "schema" not in media] == []


def contents(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The media types of all bodies, each with its place."""
    if isinstance(node, dict):
        for name, item in node.items():
            if name == "content" and isinstance(item, dict):
                yield from ((f"{place}/{kind}", media) for kind, media in item.items() if "/" in kind)
            yield from contents(item, f"{place}/{name}")
