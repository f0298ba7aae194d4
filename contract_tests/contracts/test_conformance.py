"""`bananastand conform`: our mocks pass every check, and every fault of a wrong server is named."""

from __future__ import annotations

import json
import re
import socket
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner
from werkzeug import Request, Response

from bananastand.cli._app import build
from bananastand_mocks.conformance import CheckOutcome, ContractDifference, ServiceUnreachable, conform
from bananastand_mocks.conformance.outcome import normalize
from bananastand_mocks.conformance.plan import FILES as OURS
from bananastand_mocks.conformance.plan import load_steps
from bananastand_mocks.conformance.report import as_diff, as_junit
from bananastand_mocks.providers import build as served
from contracts import FILES, contract, operations

# At addresses that answers name.
ELSEWHERE = {"get_public_file", "get_media", "put_media", "put_part", "complete_multipart_upload"}
PB = {"key": "pb_0", "admin_key": "adm"}


def run(*words: str) -> Any:
    return CliRunner().invoke(build(), ["conform", *words], env={"COLUMNS": "200"})


def all_of(stand: Any, provider: str, **options: Any) -> list[CheckOutcome]:
    stand.tasks.finish_immediately()
    stand.limits.unset("gobananas")  # sixty a minute, and the test's minute never ends
    at = stand.endpoint(provider)
    return list(conform(provider, at.base_url, key=at.key, admin_key=at.admin_key or None, patience=20, **options))


@pytest.mark.parametrize("provider", FILES)
def test_our_mocks_pass_every_check(provider: str, stand: Any) -> None:
    outcomes = all_of(stand, provider, write=True)

    assert as_diff(outcomes) == ""
    assert [outcome for outcome in outcomes if outcome.reason is not None] == []
    succeeded = {outcome.operation for outcome in outcomes if outcome.title == "its success"}
    not_asked = ELSEWHERE | ({"cancel"} if provider == "fal-queue" else set())  # it comes in time only by chance
    everything = {
        operation.spec["operationId"] for operation in operations(contract(provider)) if "operationId" in operation.spec
    }
    assert succeeded == everything - not_asked


@pytest.mark.parametrize("provider", FILES)
def test_without_write_only_gets_are_sent(provider: str, stand: Any) -> None:
    outcomes = all_of(stand, provider)

    assert {call.method for call in stand.journal} == {"GET"}
    assert as_diff(outcomes) == ""
    skipped = [outcome for outcome in outcomes if outcome.reason == "writes"]
    assert skipped
    assert all(not outcome.request.startswith("GET ") for outcome in skipped)


@pytest.mark.parametrize("provider", FILES)
def test_a_run_changes_only_what_it_created(provider: str) -> None:
    """On a live service, an object that a GET found belongs to a user."""
    methods = {operation.spec.get("operationId"): operation.method for operation in operations(contract(provider))}
    found = {name for step in load_steps(provider) if methods[step.call] == "get" for name in step.keep}
    changing = [step for step in load_steps(provider) if methods[step.call] in ("put", "patch", "delete")]
    changing += [step for step in load_steps(provider) if "delete" in step.call or "stop" in step.call]

    used = set(re.findall(r"\{(\w+)\}", " ".join(f"{dict(step.parameters)} {step.body}" for step in changing)))

    assert used & found == set()


def test_contracts_and_plans_are_those_of_the_same_names() -> None:
    assert OURS == FILES
    for name in FILES:
        assert {step.call for step in load_steps(name)} <= {
            operation.spec.get("operationId") for operation in operations(contract(name))
        }


def test_a_mock_that_breaks_its_contract_is_found(stand: Any) -> None:
    stand.tasks.finish_immediately()
    stand.tasks.fail_next(1)
    at = stand.endpoint("paperbanana")

    outcomes = conform("paperbanana", at.base_url, key=at.key, admin_key=at.admin_key, write=True, patience=0.2)
    failed = [outcome for outcome in outcomes if outcome.result == "failed"]

    assert ContractDifference("body.status", "completed", "failed") in failed[0].differences
    assert {outcome.operation for outcome in failed} == {"get_task", "get_task_image", "create_composite"}


NAMED = dict.fromkeys(("image", "second", "first", "edited", "uploaded", "editing", "character", "preset", "hat"), "7")
NAMED |= {name: f"a-{name}" for name in ("model", "project", "session", "file", "cursor", "instance", "made", "run",
          "upload", "plot", "diagram", "text", "seen", "both", "deployment")}  # fmt: skip


def documented(provider: str, status: int) -> set[str]:
    """The operations whose contract has a status."""
    every = [operation for operation in operations(contract(provider)) if str(status) in operation.spec["responses"]]
    return {operation.spec["operationId"] for operation in every if "operationId" in operation.spec}


@pytest.mark.parametrize(
    ("provider", "status"),
    [(name, status) for name in FILES for status in (413, 418, 423, 429, 500, 503, 504) if documented(name, status)],
)
def test_every_operation_refuses_as_its_contract_says(
    provider: str, status: int, stand: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """429 because a limit is reached and 413 because a body is too large; the others can only be provoked."""
    at, use = stand.endpoint(provider), NAMED | {"made": stand.endpoint(provider).key}
    if status == 429:
        stand.limits.set(provider, 0, 3600)
    elif status == 413:
        monkeypatch.setattr(type(served([provider])[0]), "max_body", 0)
    else:
        stand.faults.next_calls(1000, "status", status=status)
    options = {"key": at.key, "admin_key": at.admin_key, "use": use, "patience": 0}

    outcomes = conform(provider, at.base_url, write=True, refusals=False, **options)

    refused = {outcome.operation for outcome in outcomes if outcome.status == status}
    assert documented(provider, status) - refused <= ELSEWHERE


# A server that is wrong ------------------------------------------------------------------------------------------

PROFILE = {
    "tenant": {
        "tenantId": "t",
        "tenantName": "T",
        "quotas": {"monthly_mb": 1, "used_mb": 0, "remaining_mb": 1},
        "settings": {"defaultAspectRatio": "1:1", "maxImagesPerGeneration": 4},
        "allowedModels": ["gemini-flash-image"],
    }
}
LIMITS = {"X-RateLimit-Remaining": "59", "X-RateLimit-Reset": "1735689600"}


def found(httpserver: HTTPServer, operation: str, title: str = "its success", **options: Any) -> tuple[Any, ...]:
    """The differences of one check of a wrong Go Bananas!, whose other addresses all answer 404."""
    httpserver.no_handler_status_code = 404
    outcomes = conform("gobananas", httpserver.url_for(""), key="k", patience=0, **options)
    (outcome,) = [candidate for candidate in outcomes if (candidate.operation, candidate.title) == (operation, title)]
    return outcome.differences


def profile(httpserver: HTTPServer, body: Any, status: int = 200, kind: str = "application/json") -> None:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    httpserver.expect_request("/api/profile").respond_with_data(text, status, LIMITS, content_type=kind)


def by_place(differences: tuple[ContractDifference, ...]) -> dict[str, tuple[str, str]]:
    return {difference.where: (difference.contract, difference.answer) for difference in differences}


def test_a_valid_answer_has_no_difference(httpserver: HTTPServer) -> None:
    profile(httpserver, PROFILE)
    assert found(httpserver, "get_profile") == ()


@pytest.mark.parametrize(
    ("change", "where", "contract_has", "answer"),
    [
        ({"tenantId": None}, "body.tenant.tenantId", 'type: null is not of type "string"', "null"),
        ({"tenantName": ...}, "body.tenant.tenantName", 'required: "tenantName" is a required property', "nothing"),
        ({"quotas": {"monthly_mb": "1", "used_mb": 0, "remaining_mb": 1}}, "body.tenant.quotas.monthly_mb",
         'type: "1" is not of type "number"', "1"),
        ({"bogus": 1}, "body.tenant", "additionalProperties: Additional properties are not allowed", '{"tenantId"'),
    ],
    ids=["type", "missing", "retyped", "extra"],
)  # fmt: skip
def test_a_wrong_field_is_named(
    change: Any, where: str, contract_has: str, answer: str, httpserver: HTTPServer
) -> None:
    tenant = {name: value for name, value in {**PROFILE["tenant"], **change}.items() if value is not ...}
    profile(httpserver, {"tenant": tenant})

    wrong = by_place(found(httpserver, "get_profile"))

    assert list(wrong) == [where]
    assert wrong[where][0].startswith(contract_has)
    assert wrong[where][1].startswith(answer)


@pytest.mark.parametrize(
    ("body", "status", "kind", "expected"),
    [
        (PROFILE, 201, "application/json", {"status": ("200", "201")}),
        ({"error": "no"}, 500, "application/json", {
            "status": ("200", "500"),
            "body.code": ('required: "code" is a required property', "nothing"),
        }),
        (PROFILE, 200, "text/plain", {"content-type": ("application/json", "text/plain")}),
        ("<html>", 200, "text/html", {"content-type": ("application/json", "text/html")}),
        ('{"tenant": {', 200, "application/json", {"body": ("JSON", '{"tenant": {')}),
        ("", 200, "application/json", {"body": ("JSON", "")}),
    ],
    ids=["status", "error", "type", "html", "truncated", "empty"],
)  # fmt: skip
def test_a_wrong_status_type_or_body_is_named(
    body: Any, status: int, kind: str, expected: Any, httpserver: HTTPServer
) -> None:
    profile(httpserver, body, status, kind)

    assert by_place(found(httpserver, "get_profile")) == expected


def test_a_missing_header_is_named(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/api/profile").respond_with_json({"error": "slow down", "code": "RATE_LIMITED"}, 429)

    wrong = by_place(found(httpserver, "get_profile"))

    assert wrong == {
        "status": ("200", "429"),
        "header x-ratelimit-remaining": ("is there", "is not there"),
        "header x-ratelimit-reset": ("is there", "is not there"),
    }


def test_a_server_that_lets_everybody_in_is_named(httpserver: HTTPServer) -> None:
    profile(httpserver, PROFILE)

    assert by_place(found(httpserver, "get_profile", "without a key")) == {"status": ("401", "200")}
    assert by_place(found(httpserver, "get_profile", "with a wrong key")) == {"status": ("401", "200")}


def test_a_server_that_takes_any_parameter_is_named(httpserver: HTTPServer) -> None:
    page = {"images": [], "pagination": {"total": 0, "limit": 1, "offset": 0, "has_more": False}}
    httpserver.expect_request("/api/images").respond_with_json(page)

    assert by_place(found(httpserver, "list_images", "with limit=0")) == {"status": ("400", "200")}
    assert found(httpserver, "list_images") == ()


def test_a_server_that_forgets_is_named(httpserver: HTTPServer) -> None:
    """It accepts a character and does not return it later."""
    character = {
        "id": 5,
        "character_name": "Conform",
        "base_prompt": "a banana with a hat",
        "created_at": "2026-01-01T00:00:00Z",
        "reference_images": [],
        "reference_image_ids": [],
        "tags": ["fruit"],
    }
    profile(httpserver, PROFILE)
    httpserver.expect_request("/api/characters", method="POST").respond_with_json(character, 201)
    httpserver.expect_request("/api/characters/5", method="PATCH").respond_with_json(character)

    assert by_place(found(httpserver, "create_character", write=True)) == {}
    assert by_place(found(httpserver, "update_character", write=True)) == {
        "body.description": ("an old one", "nothing")
    }
    assert found(httpserver, "get_character", write=True)[0] == ContractDifference("status", "200", "404")


def test_a_file_that_is_no_picture_is_named(httpserver: HTTPServer) -> None:
    httpserver.expect_request(re.compile("/images/.*")).respond_with_data(b"GIF89a", content_type="image/png")
    options = {"use": {"file": "t/2026-01-01/a.png"}}

    assert by_place(found(httpserver, "get_file", **options)) == {"body": ("image/png", "GIF89a")}


def test_a_limit_is_waited_for(httpserver: HTTPServer) -> None:
    requests: list[int] = []

    def limited(request: Request) -> Response:
        requests.append(1)
        if len(requests) == 1:
            return Response('{"error": "slow down", "code": "RATE_LIMITED"}', 429, {"Retry-After": "0"})
        return Response(json.dumps(PROFILE), content_type="application/json", headers=LIMITS)

    httpserver.expect_request("/api/profile").respond_with_handler(limited)
    outcomes = conform("gobananas", httpserver.url_for(""), key="k", patience=5)

    assert next(outcomes).differences == ()
    assert len(requests) == 2


def test_an_unreachable_server_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ServiceUnreachable, match=f"nothing answers at {url}"):
        list(conform("paperbanana", url, **PB))

    done = run("--base-url", url, "--provider", "paperbanana", "--key", "pb_0")
    assert done.exit_code == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"nothing answers at {url}" in done.stderr


def test_a_connection_that_breaks_off_is_a_difference() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{")

        thread = threading.Thread(target=cut)
        thread.start()
        first = next(conform("gobananas", f"http://127.0.0.1:{server.getsockname()[1]}", key="k"))
        thread.join()

    assert (first.operation, first.status, first.differences[0].where) == ("get_profile", None, "connection")


# The command -----------------------------------------------------------------------------------------------------


def test_the_command_reports_three_ways(httpserver: HTTPServer, tmp_path: Path) -> None:
    profile(httpserver, {"tenant": {**PROFILE["tenant"], "tenantName": 7}})
    httpserver.no_handler_status_code = 404
    files = ("--json", str(tmp_path / "report.json"), "--junit", str(tmp_path / "report.xml"))
    where = ("--base-url", httpserver.url_for(""), "--provider", "gobananas", "--key", "k", "--patience", "0")

    done = run(*where, *files, "--diff")

    assert done.exit_code == 1
    assert re.search(r"get_profile\W+1\W+", done.stdout) is None
    assert "get_profile, its success: body.tenant.tenantName is 7; the contract has" in done.stdout
    assert "@@ get_profile, its success (GET /api/profile) @@" in done.stdout
    assert '- body.tenant.tenantName: type: 7 is not of type "string"\n+ body.tenant.tenantName: 7' in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["summary"]["failed"] > 1
    assert report["checks"][0] == {
        "operation": "get_profile",
        "check": "its success",
        "request": "GET /api/profile",
        "status": 200,
        "result": "failed",
        "reason": None,
        "differences": [
            {"where": "body.tenant.tenantName", "contract": 'type: 7 is not of type "string"', "answer": "7"}
        ],
    }
    suite = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert int(suite.attrib["tests"]) == len(report["checks"]) == len(suite)
    assert int(suite.attrib["failures"]) == report["summary"]["failed"]
    assert suite[0].attrib == {"classname": "gobananas.get_profile", "name": "its success"}
    assert suite[0][0].tag == "failure"


def test_the_command_of_a_right_server(falai: Any) -> None:
    done = run("--base-url", falai.base_url, "--provider", "falai", "--key", falai.key, "--diff")

    assert done.exit_code == 0, done.stdout
    assert " 0 failed" in done.stdout
    assert "not asked: writes, which only --write does" in done.stdout
    assert "---" not in done.stdout.partition("falai at")[2]
    assert falai.key not in done.stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--provider", "nobody"), "there is no provider nobody"),
        (("--provider", "gobananas"), "give --key, or set GOBANANAS_API_KEY"),
        (("--provider", "gobananas", "--key", "k", "--use", "model"), "--use wants NAME=VALUE"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_two(
    words: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOBANANAS_API_KEY", raising=False)
    done = run("--base-url", "http://127.0.0.1:9", *words)

    assert done.exit_code == 2
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_equal_runs_print_equal_reports(stand: Any) -> None:
    diffs: list[str] = []
    for _ in range(2):
        stand.reset()
        stand.faults.next_calls(1, "status", "get_task", status=500)
        diffs.append(as_diff(all_of(stand, "paperbanana", write=True)))

    assert diffs[0] == diffs[1]
    assert "@@ get_task, with a disabled key (GET /api/tasks/{task_id}) @@\n- status: 403\n+ status: 500" in diffs[0]


def test_ids_and_times_are_normalized() -> None:
    text = (
        "2026-01-02T03:04:05.678Z 2026-01-02 0b5f4d0c-8d0e-4a53-9a53-2c7f1f1f7a11 http://127.0.0.1:8750/a"
        " pb_0123456789abcdef0123456789abcdef 1735689600 1735689600123 42 deadbeef facade"
    )
    assert normalize(text) == (
        "<time> <date> <uuid> <host>/a pb_0123456789abcdef0123456789abcdef <unix time> <unix time> 42 deadbeef facade"
    ).replace("pb_0123456789abcdef0123456789abcdef", "pb_<id>")
    assert len(normalize("a" * 1000)) == 160


def test_junit_replaces_characters_that_xml_forbids() -> None:
    outcome = CheckOutcome("a", "its success", "GET /", 200, (ContractDifference("body", "JSON", "\x00\x1b<&"),))

    assert ElementTree.fromstring(as_junit("gobananas", [outcome]))[0][0].text == (
        "@@ a, its success (GET /) @@\n- body: JSON\n+ body: ??<&"
    )
