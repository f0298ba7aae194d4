"""Every method of the clients reads every documented response and error, at the provider's own address.

`sample` makes the bodies from the contract, jsonschema-rs checks them, and the client must return every field.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

import httpx  # noqa: TID251 - respx answers in its words
import httpx2
import pytest
import respx
from pydantic import BaseModel

from bananastand.clients import errors as raised
from client_calls import CASES, CLIENTS, Case
from contracts import Operation, contract, errors, operation, request_errors, resolve
from sample_values import sample

KEY = "at_r0123456789abcdef0123456789abcdef"
BASES = {
    "bananadev": "https://api.lowcodeapi.com/bananadev",
    "falai": "https://api.lowcodeapi.com/falai",
    "banana-native": "https://api.banana.dev",
    "fal-queue": "https://queue.fal.run",
    "gobananas": "https://gobananasai.com",
    "paperbanana": "https://api.paperbanana.me",
}
HOSTS = {"/run/": "https://fal.run/", "/rest/": "https://rest.fal.ai/"}  # of fal, beside that of its queue
RUN_URL = "https://a b.run.banana.dev"  # a project has a host of its own, here one of the name "a b"
CLASSES = {
    "302": raised.APIStatusError,
    "400": raised.BadRequestError,
    "401": raised.AuthenticationError,
    "402": raised.PaymentRequiredError,
    "403": raised.PermissionDeniedError,
    "404": raised.NotFoundError,
    "413": raised.PayloadTooLargeError,
    "415": raised.UnsupportedEncodingError,
    "418": raised.TeapotError,
    "422": raised.UnprocessableError,
    "423": raised.BusyError,
    "429": raised.RateLimitError,
    "500": raised.ServerError,
    "503": raised.ServerError,
    "504": raised.ServerError,
}
TLS = ssl.create_default_context()  # made once: reading the certificates takes longer than a test
FILE = b"\x89PNG\r\n\x1a\n and more"
BANANAS_TEXT = "An error occured.\n    Type: BananaError\n    StatusCode: 503\n    Message: Request failed.\n"


def called(case: Case, *, full: bool = True, twin: int = 0, **options: Any) -> Any:
    """The result of a method, its client closed. A test names the keys apart: the admin's is not the other."""
    options = {"admin_key": f"{KEY}-admin", "max_retries": 0, "strict": True, **options}
    required = ["https://store.example.com/key" if item == "/upload/key" else
                "ab" if case.operation in ("warmup_project", "call_project") and item == "a b" else item
                for item in case.required]  # fmt: skip
    words = case.optional if full else {}
    if not twin:
        transport = httpx2.HTTPTransport(verify=TLS)
        with CLIENTS[case.provider][0](KEY, transport=transport, **options) as client:
            return getattr(client, case.operation)(*required, **words)

    async def wait() -> Any:
        transport = httpx2.AsyncHTTPTransport(verify=TLS)
        async with CLIENTS[case.provider][1](KEY, transport=transport, **options) as client:
            return await getattr(client, case.operation)(*required, **words)

    return asyncio.run(wait())


def success(found: Operation) -> tuple[int, Any]:
    """Status of the first success and its content by type."""
    status = next(response for response in found.spec["responses"] if response[0] in "23")
    return int(status), resolve(found.document, found.spec["responses"][status]).get("content", {})


def plain(result: Any) -> Any:
    """A result as the JSON that it was, without what was not in it."""
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return [plain(item) for item in result] if isinstance(result, list) else result


JSON_CASES = [
    case for case in CASES if "application/json" in success(operation(contract(case.provider), case.operation))[1]
]


@pytest.mark.parametrize("twin", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize("full", [True, False], ids=["full", "minimal"])
@pytest.mark.parametrize("case", JSON_CASES, ids=str)
def test_a_documented_answer_comes_back_whole(case: Case, full: bool, twin: int, caught: respx.MockRouter) -> None:
    found = operation(contract(case.provider), case.operation)
    status, content = success(found)
    body = sample(found.document, content["application/json"]["schema"], full=full)
    assert errors(found.document, content["application/json"]["schema"], body) == []
    route = caught.route().respond(status, json=body)

    result = called(case, full=full, twin=twin)

    through = case.provider in ("bananadev", "falai")
    assert plain(result) == (body["result"] if through else body)
    sent = route.calls.last.request
    on_its_own_host = case.operation in ("warmup_project", "call_project")
    host = "https://ab.run.banana.dev/" if on_its_own_host else BASES[case.provider] + "/"
    if case.provider == "fal-queue":
        host = next((other for start, other in HOSTS.items() if found.path.startswith(start)), host)
    assert str(sent.url).startswith(host)
    if not on_its_own_host:
        query = dict(sent.url.params)
        query.pop("api_token", None)
        assert request_errors(found, query, json.loads(sent.content) if sent.content else None) == []


@pytest.mark.parametrize("provider", sorted(BASES))
def test_a_client_calls_the_address_of_the_document(provider: str) -> None:
    assert contract(provider)["servers"][0]["url"].removesuffix("/") == BASES[provider]
    with CLIENTS[provider][0](KEY) as client:
        assert client.session.base_url == BASES[provider]


@pytest.mark.parametrize("twin", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize("name", ["gobananas.get_file", "paperbanana.get_task_image"])
def test_a_file_comes_back_as_it_is(name: str, twin: int, caught: respx.MockRouter) -> None:
    case = next(other_case for other_case in CASES if str(other_case) == name)
    caught.route().respond(200, content=FILE, content_type="image/png")

    assert called(case, twin=twin) == FILE


@pytest.mark.parametrize("twin", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize("name", ["gobananas.delete_image", "paperbanana.delete_key", "banana-native.put_upload"])
def test_an_empty_answer_is_none(name: str, twin: int, caught: respx.MockRouter) -> None:
    case = next(other_case for other_case in CASES if str(other_case) == name)
    caught.route().respond(200 if name.endswith("put_upload") else 204)

    assert called(case, twin=twin) is None


def test_the_base_is_where_it_redirects_to(caught: respx.MockRouter) -> None:
    caught.route().respond(302, headers={"location": "https://lowcodeapi.com/?redirected_from=here"})

    assert called(CASES[0]) == "https://lowcodeapi.com/?redirected_from=here"


def refusals() -> list[Any]:
    """Each documented error of each operation that a client has."""
    found = []
    for case in CASES:
        document = contract(case.provider)
        for status in operation(document, case.operation).spec["responses"]:
            if status in CLASSES and status != "302":
                found.append(pytest.param(case, status, id=f"{case} {status}"))
    return found


@pytest.mark.parametrize(("case", "status"), refusals())
def test_a_documented_error_is_raised_with_its_text(case: Case, status: str, caught: respx.MockRouter) -> None:
    found = operation(contract(case.provider), case.operation)
    content = resolve(found.document, found.spec["responses"][status]).get("content", {})
    if "text/plain" in content:
        body, text = BANANAS_TEXT, " ".join(BANANAS_TEXT.split())
        answer = httpx.Response(int(status), text=BANANAS_TEXT)
    elif "application/json" in content:
        schema = content["application/json"]["schema"]
        body = sample(found.document, schema, full=True)
        assert errors(found.document, schema, body) == []
        text, answer = text_of(case.provider, body), httpx.Response(int(status), json=body)
    else:
        body, text, answer = "", "an empty body", httpx.Response(int(status))
    caught.route().mock(return_value=answer)

    with pytest.raises(CLASSES[status]) as error:
        called(case)

    assert type(error.value) is CLASSES[status]
    assert (error.value.status, error.value.message, error.value.body) == (int(status), f"{status} {text}", body)
    assert KEY not in str(error.value)


def text_of(provider: str, body: Any) -> str:
    """What an error says: where each provider has its text."""
    match provider:
        case "gobananas":
            return body["error"]
        case "paperbanana":
            return body["detail"]
        case "fal-queue":
            return body.get("detail", body.get("status"))
        case "banana-native":
            return body["message"]
    inner = body.get("error")
    while isinstance(inner, dict):
        if isinstance(inner.get("message"), str):
            return inner["message"]
        inner = inner.get("error")
    return body["message"]
