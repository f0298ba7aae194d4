"""Every documented status of every operation, with its body and headers.

Where a caller can cause the status, the test does: no key, a reached limit, a large body, an unknown id, a broken rule.
Other statuses, such as an error of the service, are provoked by a fault.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from bananastand_mocks.falqueue.seeds import COMPLETED, FAILED, RUNNING
from contract_requests import PAPER_KEY, ContractRequest, RequestSender, sender_of, valid_request
from contract_rules import rules, schema_of
from contracts import FILES, contract, errors, operation, operations, resolve

GATEWAY = ("bananadev", "falai")
TOKEN_WANTED = "A valid API token is required to access this API."
REFUSALS = {
    401: TOKEN_WANTED,
    403: "Invalid api_token",
    413: "request entity too large",
    415: 'unsupported content encoding "br"',
}
QUEUE = ("start_run", "check_run")
RUN = ("warmup_project", "call_project")


def statuses() -> list[Any]:
    found = []
    for name in FILES:
        for op in operations(contract(name)):
            for status in op.spec["responses"] if "operationId" in op.spec else ():
                if status.isdigit():
                    found.append(
                        pytest.param(
                            name,
                            op.spec["operationId"],
                            int(status),
                            id=f"{name}.{op.spec['operationId']} {status}",
                        )
                    )
    return found


@pytest.mark.parametrize(("provider", "name", "status"), statuses())
def test_each_documented_status_can_be_provoked(
    provider: str, name: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, request = sender_of(provider), valid_request(provider, name)
    send.reset()
    answer = (succeed if status < 400 else REASONS.get(status, fault))(send, request, status, monkeypatch)
    send.reset()

    assert answer.status_code == status
    found = operation(contract(provider), name)
    kind = answer.headers.get("content-type", "").partition(";")[0]
    documented = resolve(found.document, found.spec["responses"][str(status)])
    assert {header.lower() for header in documented.get("headers", {})} <= answer.headers.keys()
    content = documented.get("content", {})
    if kind == "application/json" and "schema" in content[kind]:
        assert errors(found.document, content[kind]["schema"], answer.json()) == []
    expected = body_of(provider, name, status) if status >= 400 else None
    if isinstance(expected, re.Pattern):
        text = message_of(answer)
        assert expected.fullmatch(text if isinstance(text, str) else " ".join(text)), text
    elif status >= 400:
        assert message_of(answer) == expected
    if provider == "gobananas" and "x-ratelimit-remaining" in answer.headers:
        assert 0 <= int(answer.headers["x-ratelimit-remaining"]) < 60
        assert 0 < int(answer.headers["x-ratelimit-reset"]) - send.world.clock.now() <= 32 * 86400
    assert answer.headers.get("content-type", "none") in content_types(provider, name, status, answer)


def message_of(answer: httpx2.Response) -> Any:
    """The text of an error, and the code beside it where there is one."""
    if not answer.content or not answer.headers["content-type"].startswith("application/json"):
        return answer.text
    body = answer.json()
    match body:
        case {"error": {"type": kind, "message": text}} | {"error": {"error": {"type": kind, "message": text}}}:
            return kind, text
        case {"error": str(text), "code": code}:
            return code, text
        case {"detail": [*items]}:
            return "; ".join(f"{'.'.join(item['loc'])}: {item['msg']}" for item in items)
        case {"detail": text} | {"message": text} | {"status": text}:
            return text
    raise AssertionError(body)


def content_types(provider: str, name: str, status: int, answer: httpx2.Response) -> set[str]:
    if provider in GATEWAY:
        return {"none"} if status == 302 else {"application/json; charset=utf-8"}
    if not answer.content:
        return {"none", "text/html; charset=utf-8"}
    if name in RUN and status >= 400:
        return {"text/plain; charset=utf-8"}
    if status < 400 and name in ("get_task_image", "get_file", "get_public_file", "get_media"):
        return {"image/png"}
    if name == "stream" and status < 400:
        return {"text/event-stream"}
    if name == "show_gallery":
        return {"text/html; charset=utf-8"} if status < 400 else {"application/json", "text/html; charset=utf-8"}
    return {"application/json"}


# How each is brought about ---------------------------------------------------------------------------------------


def succeed(send: RequestSender, request: ContractRequest, status: int, _: Any) -> httpx2.Response:
    if status == 202:
        return of_request(send, request, RUNNING)
    return send(request)


def of_request(send: RequestSender, request: ContractRequest, request_id: str) -> httpx2.Response:
    """Call an operation of fal's queue on another request."""
    return send(replace(request, path={**request.path, "request_id": request_id}))


def without_key(send: RequestSender, request: ContractRequest, status: int, _: Any) -> httpx2.Response:
    if request.provider == "fal-native" and request.operation == "list_models":
        return send(replace(request, headers={"authorization": "Basic no"}))
    query = {name: value for name, value in request.query.items() if name != "api_token"}
    return send(replace(request, query=query, headers={}))


def forbidden(send: RequestSender, request: ContractRequest, status: int, _: Any) -> httpx2.Response:
    if request.provider in GATEWAY:
        return send(replace(request, query={**request.query, "api_token": "at_r" + "9" * 32}))
    if request.provider == "paperbanana":
        polls = request.operation in ("get_task", "get_task_image")
        change = {"active": False} if polls else {"quota_remaining": 0}
        send(replace(valid_request("paperbanana", "update_key"), path={"key": PAPER_KEY}, body=change))
        return send(request)
    if request.provider == "fal-native":
        send.world.settings["falai.admin_key"] = False
        if request.operation in ("get_pricing", "estimate_pricing"):
            return fault(send, request, status, _)
        return send(request)
    if request.operation == "put_upload":
        return send(replace(request, path={"key": "never-request-for"}))
    return send(replace(request, path={"r2Key": "another/2025-01-15/image.png"}))


ABSENT_FIELDS = {
    "create_image": "style_preset_id",
    "continue_image": "image_id",
    "create_character": "reference_image_ids",
}


def absent(send: RequestSender, request: ContractRequest, status: int, _: Any) -> httpx2.Response:
    if request.provider == "paperbanana" and request.operation == "create_composite":
        return send(replace(request, body={"source_task_ids": ["task_a", "nobody"]}))
    if request.provider == "fal-native" and request.operation in ("list_models", "get_usage"):
        return fault(send, request, status, _)  # one that is not there is left out of the list
    if request.provider == "fal-queue":
        send.world.settings["falqueue.any_model"] = False
    changed = {
        "path": "nobody", "request_id": "nobody",
        "model_id": "nobody/nothing", "model_key": "nobody", "instance_id": "nobody", "modelKey": "nobody",
        "endpoint_id": "nobody/nothing", "task_id": "nobody", "key": "nobody", "project": "nobody",
        "r2Key": "acme-corp/nothing.png", "style_preset_id": 99, "image_id": 9999,
        "reference_image_ids": [9999],
    }  # fmt: skip
    path = {
        name: changed.get(name, 9999 if isinstance(value, int) else "nobody") for name, value in request.path.items()
    }
    query = {name: changed.get(name, value) for name, value in request.query.items()}
    body = request.body
    if request.provider == "bananadev" and body is not None:
        body = {**body, "modelKey": "nobody"}
    elif request.operation == "estimate_pricing":
        body = {**body, "endpoints": {"nobody/nothing": {"call_quantity": 1}}}
    elif request.provider == "falai" and request.operation in ("get_pricing", "get_usage", "get_analytics"):
        query["model_id"] = "nobody/nothing"
    elif request.provider == "gobananas" and request.operation in (
        "create_image",
        "continue_image",
        "create_character",
    ):
        name = {"create_image": "style_preset_id", "continue_image": "image_id"}.get(
            request.operation, "reference_image_ids"
        )
        body = {**body, name: changed[name]}
    return send(
        replace(
            request,
            path=path if request.operation != "get_public_file" else {**request.path, "r2Key": "nothing.png"},
            query=query,
            body=body,
        )
    )


def too_large(send: RequestSender, request: ContractRequest, status: int, patch: pytest.MonkeyPatch) -> httpx2.Response:
    request = send.resolve(request)
    patch.setattr(send.provider, "max_body", 8, raising=False)
    if request.operation != "put_upload" and len(str(request.body)) < 20:
        request = replace(request, body={"much": "too long a body"})
    return send(request)


def compressed(send: RequestSender, request: ContractRequest, status: int, _: Any) -> httpx2.Response:
    return send(replace(request, headers={**request.headers, "content-encoding": "br"}))


def limited(send: RequestSender, request: ContractRequest, status: int, _: Any) -> httpx2.Response:
    request = send.resolve(request)
    send.world.limits.set(request.provider, 0, 60.0)
    return send(request)


def broken(send: RequestSender, request: ContractRequest, status: int, _: Any) -> httpx2.Response:
    """A rule broken; where there is none, a body that is no JSON, or a fault."""
    if request.operation in RUN:
        return fault(send, request, status, _)
    found = operation(contract(request.provider), request.operation)
    if request.operation == "result":
        return of_request(send, request, RUNNING if status == 400 else FAILED)
    if request.operation == "cancel":
        return of_request(send, request, COMPLETED)
    for rule in rules(request.provider):
        if (rule.operation, rule.keyword) != (request.operation, "type"):
            continue
        kinds = [rule.value] if isinstance(rule.value, str) else rule.value
        if rule.place == "body" and rule.path and "[]" not in rule.path and schema_of(rule):
            wrong: Any = 5 if "string" in kinds else "x"
            if "array" not in kinds and "object" not in kinds:
                return send(replace(request, body={**(request.body or {}), rule.path[0]: wrong}))
        if rule.place != "body" and kinds == ["integer"]:
            where = next(parameter["in"] for parameter in found.parameters if parameter["name"] == rule.place)
            return send(replace(request, **{where: {**getattr(request, where), rule.place: "x"}}))
    return fault(send, request, status, _)


def used_up(send: RequestSender, request: ContractRequest, status: int, _: Any) -> httpx2.Response:
    request = send.resolve(request)
    send.world.settings |= {"gobananas.quota_status": 402, "gobananas.monthly_images": 0, "gobananas.monthly_mb": 0}
    return send(request)


def fault(send: RequestSender, request: ContractRequest, status: int, _: Any) -> httpx2.Response:
    request = send.resolve(request)
    send.world.faults.next_calls(1, "status", request.operation, status=status)
    return send(request)


REASONS = {400: broken, 401: without_key, 402: used_up, 403: forbidden, 404: absent, 413: too_large,
           415: compressed, 422: broken, 429: limited}  # fmt: skip

# What is said --------------------------------------------------------------------------------------------------------

BANANA = {401: "An API key is required", 413: "The body is too large", 429: "Rate limit exceeded",
          500: "Internal server error", 403: "No upload was asked for under this key"}  # fmt: skip
FAL = {
    400: ("validation_error", "Invalid request parameters"),
    401: ("authorization_error", "Authentication required"),
    403: ("authorization_error", "Access denied"),
    404: ("not_found", "Resource not found"),
    413: ("validation_error", "Request body too large"),
    429: ("rate_limited", "Rate limit exceeded"),
    500: ("server_error", "An unexpected error occurred"),
}
BANANAS = {
    401: ("UNAUTHORIZED", "Invalid or missing API key"),
    402: ("QUOTA_EXCEEDED", "Quota exceeded"),
    403: ("FORBIDDEN", "Tenant access denied"),
    413: ("PAYLOAD_TOO_LARGE", "Request body too large"),
    429: ("RATE_LIMITED", "Rate limit exceeded"),
    500: ("INTERNAL_ERROR", "Internal server error"),
}
PAPER = {
    401: "Missing or invalid Authorization header",
    413: "Request body too large",
    429: "Too Many Requests",
    500: "Internal Server Error",
}
FAL_QUEUE = {
    401: "Authentication is required to access this application", 413: "Request body too large",
    429: "Rate limit exceeded", 499: "Client Closed Request", 500: "Internal Server Error", 504: "Gateway Timeout",
}  # fmt: skip
FAL_QUEUE_OWN = {
    ("submit", 404): "Application 'nothing' not found",
    ("run", 404): "Application 'nothing' not found",
    ("submit", 422): "Unprocessable Content",
    ("run", 422): "Unprocessable Content",
    ("initiate_upload", 422): "body.file_name: Input should be a valid string",
    ("result", 400): "Request is still in progress",
    ("result", 422): "body.prompt: Field required",
    ("cancel", 400): "ALREADY_COMPLETED",
    ("cancel", 404): "NOT_FOUND",
    ("get_media", 404): "File not found",
    ("put_media", 404): "File not found",
    ("put_part", 404): "File not found",
    ("put_part", 422): "path.part_number: Input should be a valid integer",
    ("complete_multipart_upload", 404): "File not found",
    ("complete_multipart_upload", 422): "Unprocessable Content",
    ("initiate_multipart_upload", 422): "body.file_name: Input should be a valid string",
}
ABSENT = {
    "get_task": "Task not found", "get_task_image": "Task not found", "create_composite": "Task not found",
    "get_key": "API key not found", "update_key": "API key not found", "delete_key": "API key not found",
    "get_history": "Task not found in history", "build_project": "Project not found",
    "create_upload": "Project not found", "get_project": "Project not found", "update_project": "Project not found",
    "start_run": "Model not found", "run": "Model not found", "get_model": "Model not found",
}  # fmt: skip
RUNS = {
    400: "Internal server error",
    401: "An API key is required",
    404: "Project not found",
    413: "The body is too large",
    418: "banana is a teapot",
    500: "Internal server error",
    503: "Request failed.",
    504: "Gateway timeout",
}


GONE = {
    "create_image": "Style preset not found", "delete_style_preset": "Style preset not found",
    "get_session": "Session not found", "get_character": "Character not found",
    "update_character": "Character not found", "delete_character": "Character not found",
} | dict.fromkeys(("get_image", "delete_image", "continue_image", "create_character", "get_file", "get_public_file"),
                  "Image not found")  # fmt: skip
TYPE = r": [\w.]+: .+ is not of types? [^ ]+(, [^ ]+)*"
WRONG = {
    "bananadev": re.compile(f"Invalid request parameters{TYPE}|Internal server error"),
    "banana-native": re.compile(f"Invalid request parameters{TYPE}|Internal server error"),
    "gobananas": re.compile(f"BAD_REQUEST Invalid parameters({TYPE})?"),
    "paperbanana": re.compile(r"[\w.]+: Input should be a valid \w+|Unprocessable Content"),
}


def body_of(provider: str, name: str, status: int) -> Any:
    """What the error says; a pattern where it names the field that a rule was broken in."""
    if status in (400, 422) and provider in WRONG and name not in RUN:
        return WRONG[provider]
    if provider in GATEWAY and status in REFUSALS:
        return REFUSALS[status]
    if name in RUN:
        kind = "UserError" if status < 500 else "BananaError"
        text = f"An error occured.\n    Type: {kind}\n    StatusCode: {status}\n    Message: {RUNS.get(status)}\n"
        return "" if status == 423 else text
    match provider:
        case "bananadev" | "banana-native":
            if (provider, name, status) == ("bananadev", "check_run", 404):
                return "Model not found"
            return ABSENT.get(name) if status == 404 else BANANA.get(status)
        case "falai" | "fal-native":
            return FAL.get(status)
        case "fal-queue":
            return FAL_QUEUE_OWN.get((name, status), FAL_QUEUE.get(status, "Request not found"))
        case "gobananas":
            return ("NOT_FOUND", GONE[name]) if status == 404 else BANANAS[status]
        case _:
            if status == 403:
                return "API key is disabled" if name in ("get_task", "get_task_image") else "Quota exhausted"
            return ABSENT[name] if status == 404 else PAPER.get(status)
