"""Requests of every method through run URL, front and call route: what reaches the app, and what comes back."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from servers import free_port
from stands import Up

FRONT, HOSTED, OTHER = free_port(), free_port(), free_port()
WAYS = ("run URL", "call route", "front")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    fronts = [[FRONT, "echo"], [HOSTED, "hosted"], [OTHER, "other"]]
    with Up(tmp_path_factory.mktemp("requests") / "data", fronts=fronts) as running:
        for name, source in (("echo", "echo"), ("other", "echo"), ("hosted", "potassium")):
            assert running.deploy(name, source)["state"] == "live", running.log
        yield running


def ask(up: Up, way: str, method: str, path: str, *, project: str = "echo", **options: Any) -> httpx2.Response:
    """Send a request in one of the three ways, with the key that the way wants."""
    url, headers = address(up, way, project)
    options["headers"] = {**headers, **options.get("headers", {})}
    return httpx2.request(method, url + path, timeout=30, trust_env=False, **options)


def address(up: Up, way: str, project: str = "echo") -> tuple[str, dict[str, str]]:
    if way == "front":
        return f"http://127.0.0.1:{ {'echo': FRONT, 'hosted': HOSTED, 'other': OTHER}[project] }", {}
    if way == "run URL":
        return f"http://127.0.0.1:{up.port}/banana/run/{project}", {"x-banana-api-key": up.key}
    return f"http://127.0.0.1:{up.port}/stand/v1/projects/{project}/call", {"authorization": f"Bearer {up.key}"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_reaches_the_app_with_its_path_as_it_was_sent(up: Up, way: str, method: str) -> None:
    target = "/a%2Fb/c%20d/%E2%82%AC?q=1&q=%0A2&empty="
    answer = ask(up, way, method, target)

    assert answer.status_code == 200, answer.text
    assert (answer.json()["method"], answer.json()["target"]) == (method, target)


@pytest.mark.parametrize("way", WAYS)
def test_head_has_the_apps_headers_and_no_body(up: Up, way: str) -> None:
    answer = ask(up, way, "HEAD", "/sets")

    assert (answer.status_code, answer.content, answer.headers["x-own"]) == (201, b"", "mine")


@pytest.mark.parametrize("way", WAYS)
def test_the_app_sees_the_callers_headers_but_no_key_and_nothing_of_the_connection(up: Up, way: str) -> None:
    sent = {
        "X-Mine": "a, b",
        "Cookie": "c=1",
        "Accept-Language": "de",
        "Connection": "close, X-Hop",
        "X-Hop": "h",
        "TE": "trailers",
        "Proxy-Authorization": "Basic eDp5",
        "X-Banana-API-Key": up.key,
        "X-Banana-Request-Id": f"request-{way}",
    }
    seen = ask(up, way, "POST", "/", headers=sent, content=b"x").json()["headers"]

    names = [name for name, _ in seen]
    assert dict(map(tuple, seen)) | {"x-mine": "a, b", "cookie": "c=1", "accept-language": "de"} == dict(
        map(tuple, seen)
    )
    assert dict(map(tuple, seen))["x-banana-request-id"] == f"request-{way}"
    assert not set(names) & {"x-banana-api-key", "authorization", "x-hop", "te", "proxy-authorization"}
    assert len(names) == len(set(names))
    assert up.key not in json.dumps(seen)


@pytest.mark.parametrize("way", ["run URL", "front"])
def test_an_authorization_of_the_apps_own_passes_and_one_with_a_key_does_not(up: Up, way: str) -> None:
    basic = base64.b64encode(f"any:{up.key}".encode()).decode()

    for value, passes in (
        ("Bearer of-the-app", True),
        ("Basic dTpw", True),
        (f"Bearer {up.key}", False),
        (f"Basic {basic}", False),
        (up.key, False),
    ):
        seen = ask(up, way, "GET", "/", headers={"authorization": value}).json()["headers"]
        assert (["authorization", value] in seen) is passes, value


def test_the_call_route_takes_the_key_in_its_own_header_and_passes_the_apps_authorization(up: Up) -> None:
    headers = {"x-banana-api-key": up.key, "authorization": "Bearer of-the-app"}

    assert ["authorization", "Bearer of-the-app"] in ask(up, "call route", "GET", "/", headers=headers).json()[
        "headers"
    ]


@pytest.mark.parametrize("way", WAYS)
def test_a_call_without_a_request_id_gets_its_runs_id(up: Up, way: str) -> None:
    seen = dict(map(tuple, ask(up, way, "POST", "/").json()["headers"]))

    assert len(seen["x-banana-request-id"]) == 36


@pytest.mark.parametrize("way", WAYS)
def test_the_apps_status_and_headers_come_back_all_of_them(up: Up, way: str) -> None:
    answer = ask(up, way, "POST", "/sets")

    assert answer.status_code == 201
    assert answer.headers.get_list("set-cookie") == ["one=1; Path=/", "two=2"]
    assert (answer.headers["x-own"], answer.headers["etag"]) == ("mine", '"e"')
    assert answer.headers["x-banana-call-id"].startswith("call_")
    assert answer.headers["content-length"] == "2"
    assert len(answer.headers.get_list("date")) == 1


@pytest.mark.parametrize("way", WAYS)
def test_what_one_caller_gets_is_in_no_other_callers_request(up: Up, way: str) -> None:
    assert "one=1" in ask(up, way, "POST", "/sets").headers["set-cookie"]

    for project in ("echo", "other", "echo"):
        seen = ask(up, way, "POST", "/", project=project, headers={"x-once": project}).json()["headers"]
        assert "cookie" not in [name for name, _ in seen], project
        assert [value for name, value in seen if name == "x-once"] == [project]
        assert "x-once" not in [name for name, _ in ask(up, way, "GET", "/", project=project).json()["headers"]]


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_of_potassium_reads_and_sets_headers(up: Up, way: str) -> None:
    sent = {"x-first": "one", "x-second": "two"}
    answer = ask(up, way, "POST", "/echoes-headers", project="hosted", json={}, headers=sent)

    assert answer.json() == {"hello": "headers"}
    assert (answer.headers["x-first"], answer.headers["x-second"]) == ("one", "two")


@pytest.mark.parametrize("way", WAYS)
def test_a_repeated_request_id_brings_the_same_answer_headers_and_all(up: Up, way: str) -> None:
    headers = {"x-banana-request-id": f"again-{way}"}

    first, second = [ask(up, way, "POST", "/sets", headers=headers) for _ in range(2)]
    other = ask(up, way, "PUT", "/sets", headers=headers)

    assert first.headers["x-banana-call-id"] == second.headers["x-banana-call-id"]
    assert first.headers.get_list("set-cookie") == second.headers.get_list("set-cookie")
    if way == "call route":
        assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
    else:
        assert other.headers["x-banana-call-id"] != first.headers["x-banana-call-id"], "another method is another call"


@pytest.mark.parametrize("way", WAYS)
def test_a_potassium_app_refuses_get_and_unknown_paths_as_its_own_server_does(up: Up, way: str) -> None:
    got = ask(up, way, "GET", "/", project="hosted")
    missing = ask(up, way, "POST", "/nothing?x=1", project="hosted", json={})
    queried = ask(up, way, "POST", "/?x=1", project="hosted", json={"n": 1})

    assert (got.status_code, got.headers["allow"]) == (405, "OPTIONS, POST")
    assert (missing.status_code, "404 Not Found" in missing.text) == (404, True)
    assert queried.json()["got"] == {"n": 1}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["/a%0ab", "/%00", "/a%0D%0AHost:%20x", "/%7f"])
def test_control_characters_in_a_path_are_refused_at_the_door(up: Up, way: str, path: str) -> None:
    answer = ask(up, way, "GET", path)

    assert answer.status_code == 400
    assert "control characters" in answer.text


@pytest.mark.parametrize("way", WAYS)
def test_binary_and_form_bodies_pass_both_ways(up: Up, way: str) -> None:
    octets = bytes(range(256)) * 300
    for kind, body in (
        ("application/octet-stream", octets),
        ("application/x-www-form-urlencoded", b"a=1&b=%00"),
        ("multipart/form-data; boundary=x", b"--x\r\ncontent-disposition: form-data; name=f\r\n\r\n\xff\r\n--x--\r\n"),
        ("image/png", b"\x89PNG\r\n\x1a\n\0"),
    ):
        answer = ask(up, way, "POST", "/octets", content=body, headers={"content-type": kind})
        assert (answer.content, answer.headers["content-type"]) == (body, kind)
        assert answer.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_is_zipped_passes_as_it_is(up: Up, way: str) -> None:
    answer = ask(up, way, "GET", "/zipped")

    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == "a ripe banana"
    assert ask(up, way, "DELETE", "/empty").status_code == 204


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/octet-stream", "application/x-ndjson", "text/event-stream"]
)
def test_a_stream_of_any_type_reaches_its_caller_piece_by_piece(up: Up, way: str, kind: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    url, headers = address(up, way)

    with httpx2.stream(
        "POST", url + "/streams", json={"type": kind, "file": str(go)}, headers=headers, timeout=30
    ) as got:
        pieces = got.iter_bytes()
        first = next(pieces)
        go.touch()  # only now the app goes on
        rest = b"".join(pieces)

    assert (got.headers["content-type"], first, rest) == (kind, b"first\n", b"second\n")
    assert "content-length" not in got.headers


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_that_its_app_breaks_off_breaks_off_for_the_caller_and_is_not_tried_again(
    up: Up, way: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    url, headers = address(up, way)
    payload = {"type": "text/plain", "file": str(go), "then": "break"}

    with httpx2.stream("POST", url + "/streams", json=payload, headers=headers, timeout=30) as got:
        pieces = got.iter_bytes()
        assert next(pieces) == b"first\n"
        go.touch()
        with pytest.raises(httpx2.RemoteProtocolError):
            list(pieces)


@pytest.mark.parametrize("way", WAYS)
def test_a_potassium_generator_streams_and_one_that_fails_at_once_is_an_error(up: Up, way: str) -> None:
    url, headers = address(up, way, "hosted")
    payload = {"chunks": 3, "pause": 0.1, "type": "text/plain"}
    with httpx2.stream("POST", url + "/stream", json=payload, headers=headers, timeout=30) as got:
        pieces = list(got.iter_bytes())
    failed = ask(up, way, "POST", "/stream", project="hosted", json={"chunks": 1, "fails": True, "type": "text/plain"})

    assert len(pieces) > 1
    assert b"".join(pieces) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert failed.status_code == 500
    assert "the answer broke off: ValueError: in the middle" in failed.text


@pytest.mark.parametrize("way", WAYS)
def test_bad_json_gets_the_documented_error_object(up: Up, way: str) -> None:
    answer = ask(up, way, "POST", "/", project="hosted", content=b"{", headers={"content-type": "application/json"})

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["field"]) == ("invalid_json", None)
    assert error["message"].startswith("the body is not JSON: ")


def test_many_callers_at_once_each_get_their_own_answer(up: Up) -> None:
    got: dict[int, Any] = {}

    def one(number: int) -> None:
        way = WAYS[number % 3]
        answer = ask(up, way, "GET", f"/{number}", headers={"x-number": str(number)})
        got[number] = (answer.json()["target"], [v for n, v in answer.json()["headers"] if n == "x-number"])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert got == {number: (f"/{number}", [str(number)]) for number in range(12)}
