"""Building a request and reading a response, without a connection: headers, errors, retries, waiting."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bananastand.clients import GoBananas, PaperBanana, errors, waiting
from bananastand.clients.banana import Banana
from bananastand.clients.banana import calls as banana
from bananastand.clients.bananadev import BananaDev
from bananastand.clients.bananadev import calls as bananadev
from bananastand.clients.call import Call, Prepared, Raw, Session, media
from bananastand.clients.gobananas import calls
from bananastand.clients.paperbanana import calls as paperbanana
from flow_driver import FlowDriver

ANY = replace(calls.get_profile(), result=dict[str, Any])
HERE = "GET https://gobananasai.com/api/profile"


def session(client: Any = GoBananas, **options: Any) -> Session:
    return client("key", **options).session


def answer(status: int, content: bytes = b"{}", **headers: str) -> Raw:
    return Raw(status, headers, content)


def read(call: Call[Any], raw: Raw, of: Session | None = None) -> Any:
    some = of or session()
    return some.conclude(call, some.prepare(call), raw)


# Before the wire -------------------------------------------------------------------------------------------------


def test_a_read_is_sent_with_query_and_key() -> None:
    sent = session(timeout=7.0).prepare(calls.list_characters(limit=2, exact=True))

    assert sent == Prepared(
        "GET",
        "https://gobananasai.com/api/characters?limit=2&exact=true",
        {"accept": "application/json", "user-agent": "bananastand-clients", "X-API-Key": "key"},
        None,
        7.0,
        "GET https://gobananasai.com/api/characters",
        True,
    )


def test_a_change_is_sent_as_json_and_not_cached() -> None:
    call = calls.create_image("a stand")
    sent = session().prepare(call)

    assert (sent.method, sent.url) == ("POST", "https://gobananasai.com/api/images")
    assert sent.headers == {
        "accept": "application/json",
        "user-agent": "bananastand-clients",
        "X-API-Key": "key",
        "content-type": "application/json",
    }
    assert sent.content == b'{"prompt": "a stand"}'
    assert (sent.timeout, sent.kept) == (180.0, False)


def test_a_fresh_call_is_not_cached() -> None:
    assert session().prepare(ANY).kept is True
    assert session().prepare(replace(ANY, fresh=True)).kept is False
    assert session().prepare(replace(ANY, method="PUT", fresh=False)).kept is False


def test_an_absolute_url_is_used_without_a_key() -> None:
    sent = session(Banana).prepare(banana.put_upload("http://127.0.0.1:5/upload/one", b"archive"))

    assert (sent.url, sent.content) == ("http://127.0.0.1:5/upload/one", b"archive")
    assert "x-banana-api-key" not in {name.lower() for name in sent.headers}


def test_nan_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        session(BananaDev).prepare(bananadev.run("value", {"steps": float("nan")}))


@pytest.mark.parametrize("key", ["k\u00e9y", "k\x00ey", "ke\x7fy", "k\ney"])
def test_a_key_with_unprintable_characters_is_refused(key: str) -> None:
    with pytest.raises(errors.MissingKey) as caught:
        PaperBanana(key).session.key_for()
    assert str(caught.value) == "the key for paperbanana cannot be sent: it is not plain printable text"
    assert PaperBanana(" pb_0\n").session.key_for() == "pb_0"


# After it --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 299])
def test_a_status_below_300_is_a_success(status: int) -> None:
    found = read(ANY, answer(status, b'{"a": 1}', date="now"))

    assert (found.result, found.status, found.headers, found.body) == ({"a": 1}, status, {"date": "now"}, {"a": 1})


@pytest.mark.parametrize("status", [199, 300, 302, 399, 400, 499, 500])
def test_another_status_raises_an_error_with_its_text(status: int) -> None:
    with pytest.raises(errors.APIStatusError) as caught:
        read(ANY, answer(status, b'{"error": "no", "code": "NO"}', date="now"))

    error = caught.value
    assert (error.status, str(error)) == (status, f"{HERE}: {status} no")
    assert (error.headers, error.body, error.request) == ({"date": "now"}, {"error": "no", "code": "NO"}, HERE)
    assert type(error) is errors.status_error(status)


@pytest.mark.parametrize(("status", "taken"), [(199, False), (200, True), (299, True), (300, False)])
def test_a_file_is_read_from_a_success_only(status: int, taken: bool) -> None:
    call, raw = paperbanana.get_task_image("a"), answer(status, b"\x89PNG", **{"content-type": "image/png"})
    if taken:
        assert read(call, raw, session(PaperBanana)).result == b"\x89PNG"
    else:
        with pytest.raises(errors.APIStatusError):
            read(call, raw, session(PaperBanana))


@pytest.mark.parametrize(("status", "taken"), [(299, False), (300, True), (399, True), (400, False)])
def test_a_location_is_read_from_a_redirect_only(status: int, taken: bool) -> None:
    raw = answer(status, b"", location="https://example.com/")
    if taken:
        assert read(bananadev.get_base(), raw, session(BananaDev)).result == "https://example.com/"
    else:
        with pytest.raises(errors.APIError):
            read(bananadev.get_base(), raw, session(BananaDev))


def test_an_empty_result_needs_status_204_or_json_null() -> None:
    assert read(replace(ANY, result=None), answer(204, b"")).result is None
    assert read(replace(bananadev.list_models(), result=None), answer(204, b""), session(BananaDev)).result is None
    assert read(replace(ANY, result=None), answer(200, b" null\n")).result is None
    with pytest.raises(errors.APIResponseError):
        read(replace(ANY, result=None), answer(200, b""))


def test_json_null_has_no_envelope_to_unwrap() -> None:
    nothing = Call(None, "DELETE", "/v1/models")
    assert read(nothing, answer(204, b""), session(BananaDev)).result is None
    with pytest.raises(errors.APIResponseError, match="the answer does not fit"):
        read(nothing, answer(200, b"null"), session(BananaDev))


def test_an_envelope_without_a_result_is_an_error() -> None:
    with pytest.raises(errors.APIResponseError) as caught:
        read(bananadev.list_models(), answer(200, b'{"message": "done"}'), session(BananaDev))

    assert str(caught.value).endswith(
        '/v1/models: the answer does not fit: KeyError(\'result\') in {"message": "done"}'
    )
    assert caught.value.body == {"message": "done"}


def test_a_long_answer_is_quoted_in_part() -> None:
    with pytest.raises(errors.APIStatusError) as caught:
        read(ANY, answer(500, b"x" * 159 + b"yz"))
    assert str(caught.value) == f"{HERE}: 500 {'x' * 159}y"
    for spaces, text in ((399, "z"), (400, "an empty body")):
        with pytest.raises(errors.APIStatusError) as caught:
            read(ANY, answer(500, b" " * spaces + b"z"))
        assert str(caught.value) == f"{HERE}: 500 {text}"


def test_a_file_of_another_media_type_is_an_error() -> None:
    call = replace(ANY, read=media("image/", "application/pdf"))

    assert read(call, answer(200, b"GIF", **{"content-type": "image/gif"})).result == b"GIF"
    assert read(call, answer(200, b"%PDF", **{"content-type": "application/pdf"})).body == b"%PDF"
    for kind, name in (("text/html", "text/html"), (None, "no type")):
        headers = {} if kind is None else {"content-type": kind}
        with pytest.raises(errors.APIResponseError) as caught:
            read(call, answer(200, b'{"a": 1}', **headers))
        assert str(caught.value) == f"{HERE}: the answer does not fit: {name} is not image/ or application/pdf"
        assert caught.value.body == {"a": 1}
    with pytest.raises(errors.NotFoundError):
        read(call, answer(404, b"GIF", **{"content-type": "image/gif"}))


# Again -----------------------------------------------------------------------------------------------------------


def refusal(status: int, **headers: str) -> errors.APIStatusError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return errors.status_error(status)("no", request="GET /", status=status, headers=named, body=None)


def test_a_retry_waits_a_minute_at_most() -> None:
    some = session()

    assert 60.25 <= (some.pause(ANY, 0, 0, refusal(429, x_ratelimit_reset="1060"), 1000.0) or 0) <= 60.5
    assert some.pause(ANY, 0, 0, refusal(429, x_ratelimit_reset="1060.1"), 1000.0) is None
    assert 3.25 <= (some.pause(ANY, 0, 0, refusal(500, retry_after="3"), 1000.0) or 0) <= 3.5


def test_a_run_url_is_retried_for_five_minutes() -> None:
    call = banana.call_project("mine", "", {})
    some = session(Banana, max_retries=1)

    assert session(Banana, max_retries=0).pause(call, 0, 0, refusal(503), 0) is None
    assert some.pause(call, 90, 297.0, refusal(503), 0) == 3.0
    assert some.pause(call, 90, 297.01, refusal(503), 0) is None
    broken = errors.APIConnectionError("gone", request="POST /")
    assert some.pause(call, 0, 0, broken, 0) is None, "it may have been done"


# Work that is looked at again and again --------------------------------------------------------------------------


def waiting_for(at: FlowDriver, **options: Any) -> Any:
    """An answer that says how it is is waited for, for ten seconds."""
    words = {"poll": 4.0, "deadline": 10.0, "on_check": None, "cancelled": None, **options}
    return at.run(
        waiting.wait(session(), ANY, lambda found: found["at"] == "end", lambda last: f"it is {last}", **words)
    )


def test_waiting_polls_until_the_work_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    at, seen = FlowDriver(monkeypatch, {"at": "work"}, {"at": "work"}, {"at": "end"}), list[Any]()

    assert waiting_for(at, on_check=seen.append) == {"at": "end"}

    assert at.pauses == [4.0, 4.0]
    assert [request.timeout for request in at.sent] == [10.0, 6.0, 2.0]
    assert [request.kept for request in at.sent] == [False, False, False]
    assert seen == [{"at": "work"}, {"at": "work"}, {"at": "end"}]


def test_the_last_poll_is_at_the_deadline_with_a_timeout_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    at = FlowDriver(monkeypatch, {"at": "work"})

    with pytest.raises(errors.DeadlineExceeded) as caught:
        waiting_for(at)

    assert at.pauses == [4.0, 4.0, 2.0]
    assert [request.timeout for request in at.sent] == [10.0, 6.0, 2.0, 1.0]
    assert str(caught.value) == "it is {'at': 'work'} after 10 s"
    assert caught.value.task == {"at": "work"}


def test_a_poll_that_times_out_ends_in_deadline_exceeded_only_after_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = errors.APITimeoutError("late", request="GET /")

    with pytest.raises(errors.APITimeoutError):
        waiting_for(FlowDriver(monkeypatch, late), deadline=10.0)
    with pytest.raises(errors.DeadlineExceeded, match="it is None after 1 s"):
        waiting_for(FlowDriver(monkeypatch, late), deadline=1.0)


def test_a_cancelled_wait_names_the_last_state(monkeypatch: pytest.MonkeyPatch) -> None:
    at = FlowDriver(monkeypatch, {"at": "work"})

    with pytest.raises(errors.CallCancelled) as caught:
        waiting_for(at, cancelled=lambda: at.now > 0)

    assert str(caught.value) == "it is {'at': 'work'} and no longer waited for"
    assert at.pauses == [4.0]
    assert waiting.POLL == 4.0, "3 to 5 seconds are advised (D:627)"


# Errors inside a 200 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "body", "refused"),
    [
        (Banana, {"apiVersion": "v4", "message": "Error: no model"}, "Error: no model"),
        (Banana, {"apiVersion": "v4", "message": "success"}, None),
        (Banana, {"message": "error: the app's own"}, None),
        (Banana, {"apiVersion": "v4", "message": 5}, None),
        (Banana, {"apiVersion": "v4"}, None),
        (Banana, ["apiVersion", "error"], None),
        (BananaDev, {"message": "an ERROR occurred"}, "an ERROR occurred"),
        (BananaDev, {"message": "Request completed"}, None),
        (BananaDev, {"message": 5}, None),
        (BananaDev, {}, None),
        (BananaDev, ["error"], None),
        (GoBananas, {"error": "no"}, None),
    ],
)
def test_an_error_inside_a_200_is_recognised(client: Any, body: Any, refused: str | None) -> None:
    assert client("key").session.provider.refusal(body) == refused


@pytest.mark.parametrize(
    ("client", "body", "text"),
    [
        (Banana, {"message": "no"}, "no"),
        (Banana, {"message": 5}, None),
        (Banana, ["message"], None),
        (BananaDev, {"message": "outer", "error": {"message": "inner"}}, "inner"),
        (BananaDev, {"message": "outer", "error": {"error": {"message": "innermost"}}}, "innermost"),
        (BananaDev, {"message": "outer", "error": {"code": 403}}, "outer"),
        (BananaDev, {"message": "outer", "error": {"message": 5, "error": {"message": "in"}}}, "in"),
        (BananaDev, {"message": 5}, None),
        (BananaDev, ["message"], None),
        (GoBananas, {"error": "no", "code": "NO"}, "no"),
        (GoBananas, {"error": 5}, None),
        (GoBananas, ["error"], None),
        (PaperBanana, {"detail": "no"}, "no"),
        (PaperBanana, {"detail": [{"msg": "no"}]}, None),
        (PaperBanana, ["detail"], None),
    ],
)
def test_an_errors_text_is_found_in_each_providers_body(client: Any, body: Any, text: str | None) -> None:
    assert client("key").session.provider.message(body) == text


def test_each_provider_gets_its_key_where_it_expects_it() -> None:
    assert session(PaperBanana).prepare(paperbanana.get_task("a")).headers["Authorization"] == "Bearer key"
    admin = PaperBanana("key", admin_key="adm").session.prepare(paperbanana.list_keys())
    assert admin.headers["Authorization"] == "Bearer adm"
    assert session(BananaDev).prepare(bananadev.list_models()).url.endswith("/bananadev/v1/models?api_token=key")
    assert session(Banana).prepare(banana.list_projects()).headers["X-Banana-API-Key"] == "key"
    for call in (banana.start_run("m", {}), banana.check_run("call_1")):
        sent = session(Banana).prepare(call)
        assert json.loads(sent.content or b"")["apiKey"] == "key"
        assert "X-Banana-API-Key" not in sent.headers
