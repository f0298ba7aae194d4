"""The admin's pages of PaperBanana: who is let in, what is shown, what the forms do. In process, over HTTP."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import httpx2
import pytest

from bananastand_mocks.paperbanana import PaperBananaProvider
from in_process import InProcess

HERE = {"host": "127.0.0.1:8750"}
KEY = {"authorization": "Bearer pb_" + "0" * 32}
PLOT = {"data_json": '{"model": ["a", "b"], "accuracy": [1, 2]}', "intent": "Bar chart with value labels"}
VOID = {"br", "img", "input", "link", "meta"}


class Outline(HTMLParser):
    """Whether every element is closed, every control named, and which texts and addresses there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.labels: set[str] = set()
        self.controls: set[str] = set()
        self.addresses: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.attributes.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "label":
            self.labels.add(str(attributes["for"]))
        if tag in ("input", "select"):
            self.controls.add(str(attributes["id"]))
        self.addresses += [str(attributes[name]) for name in ("href", "src", "action") if name in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)


@pytest.fixture
def send() -> InProcess:
    return InProcess(PaperBananaProvider(), kind="documents")


@pytest.fixture
def admin(send: InProcess) -> dict[str, str]:
    """Headers of somebody who has logged in."""
    answer = send("POST", "/adm/login", headers=HERE, content="key=admin-bananastand")
    assert (answer.status_code, answer.headers["location"]) == (303, "/adm")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    return {**HERE, "cookie": cookie.partition(";")[0]}


def show(send: InProcess, admin: dict[str, str], path: str) -> str:
    answer = send("GET", path, headers=admin)
    assert answer.status_code == 200
    return answer.text


def submit(send: InProcess, **body: Any) -> str:
    return send("POST", "/api/plot", headers=KEY, json={**PLOT, **body}).json()["task_id"]


def test_nobody_sees_a_page_without_the_admin_key(send: InProcess):
    for path in ("/adm", "/adm/", "/adm/tasks", "/adm/tasks/a1b2c3d4e5f6", "/adm/tasks/a1b2c3d4e5f6/figure.png"):
        for cookie in ({}, {"cookie": "paperbanana_admin=wrong"}, {"cookie": f"paperbanana_admin=pb_{'0' * 32}"}):
            answer = send("GET", path, headers={**HERE, **cookie})
            assert answer.status_code == 401
            assert "<h1>Log in</h1>" in answer.text
    assert send("POST", "/adm/keys", headers=HERE, content="name=mine").status_code == 401
    assert send("POST", "/adm/keys/1/delete", headers=HERE).status_code == 401
    assert [row["name"] for row in send.world.table("paperbanana.keys").values()] == ["ready-made", "my-app"]


def test_a_wrong_admin_key_is_told(send: InProcess):
    answer = send("POST", "/adm/login", headers=HERE, content="key=guess")
    assert answer.status_code == 401
    assert "This is not the admin key." in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example"},
        {"host": "["},
        {"host": "127.0.0.1:8750", "origin": "http://["},
        {"host": "127.0.0.1:8750", "origin": "https://stranger.example"},
        {"host": "127.0.0.1:8750", "origin": "null"},
        {"host": "127.0.0.1:8750", "origin": "http://127.0.0.1:9999"},
    ],
)
def test_strangers_hosts_and_forms_are_refused(send: InProcess, admin: dict[str, str], headers: dict[str, str]):
    refused = send("POST", "/adm/keys", headers={**admin, **headers}, content="name=theirs")
    assert refused.status_code == 403
    assert "theirs" not in show(send, admin, "/adm")


def test_pages_send_no_cors_and_let_nothing_in_from_elsewhere(send: InProcess, admin: dict[str, str]):
    answer = send("GET", "/adm", headers=admin)
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"


def test_pages_are_whole_labelled_and_keep_to_themselves(send: InProcess, admin: dict[str, str]):
    task = submit(send, webhook_url="http://127.0.0.1:9/")
    send.world.clock.advance(1)
    paths = ("/adm", "/adm/keys/1", "/adm/keys/1/delete", "/adm/tasks", f"/adm/tasks/{task}",
             "/adm/tasks/a1b2c3d4e5f6")  # fmt: skip
    for path in paths:
        text = show(send, admin, path)
        outline = Outline(text)
        assert outline.controls <= outline.labels
        assert "<script" not in text
        assert [address for address in outline.addresses if not address.startswith(("/adm", "#"))] == []
        assert ("html", {"lang": "en"}) in outline.attributes
        assert [
            attributes["content"] for tag, attributes in outline.attributes if attributes.get("name") == "viewport"
        ] == ["width=device-width, initial-scale=1"]
        assert all(attributes.get("alt") for tag, attributes in outline.attributes if tag == "img")
        assert all(attributes.get("scope") for tag, attributes in outline.attributes if tag == "th")
        assert all("tabindex" not in attributes for _, attributes in outline.attributes)
        for link in {
            address for address in outline.addresses if address.startswith("/adm") and "logout" not in address
        }:
            assert send("GET", link.partition("#")[0], headers=admin).status_code in (200, 404)
    style = show(send, admin, "/adm/style.css")
    assert "prefers-color-scheme: dark" in style
    assert "focus-visible" in style


def test_a_key_is_created_and_shown_in_full_once(send: InProcess, admin: dict[str, str]):
    answer = send("POST", "/adm/keys", headers=admin, content="name=team&quota=3&webhook_url=&webhook_secret=hush")
    assert answer.status_code == 201
    (key,) = re.findall(r"pb_[0-9a-f]{32}", answer.text)
    page = show(send, admin, "/adm")
    assert key not in page
    assert f"{key[:9]}..." in page
    assert "3 of 3" in page
    row = send.world.table("paperbanana.keys")[key]
    assert (row["quota_total"], row["webhook_url"], row["webhook_secret"]) == (3, None, "hush")
    assert send("POST", "/api/plot", headers={"authorization": f"Bearer {key}"}, json=PLOT).status_code == 202


@pytest.mark.parametrize(
    "form",
    ["name=team&quota=0", "name=team&quota=many", "quota=1", "name=&quota=1", "name=team&quota=" + "9" * 5000],
    ids=lambda form: form[:20],
)
def test_a_wrong_form_changes_nothing_and_says_why(send: InProcess, admin: dict[str, str], form: str):
    answer = send("POST", "/adm/keys", headers=admin, content=form)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert len(send.world.table("paperbanana.keys")) == 2


def test_a_key_is_changed_disabled_enabled_and_deleted(send: InProcess, admin: dict[str, str]):
    def post(path: str, form: str = "") -> httpx2.Response:
        return send("POST", path, headers=admin, content=form)

    row = next(row for row in send.world.table("paperbanana.keys").values() if row["name"] == "my-app")
    at = f"/adm/keys/{row['number']}"
    changed = post(at, "quota_remaining=5&quota_total=&webhook_url=http%3A%2F%2F127.0.0.1%3A9%2F&webhook_secret=")
    assert changed.headers["location"] == at
    assert (row["quota_remaining"], row["quota_total"], row["webhook_url"]) == (5, 100, "http://127.0.0.1:9/")
    assert post(at, "webhook_url=").status_code == 303
    assert row["webhook_url"] is None
    assert post(at, "quota_remaining=-1").status_code == 422

    assert post(f"{at}/disable").status_code == 303
    assert row["active"] is False
    assert "disabled" in show(send, admin, at)
    post(f"{at}/enable")
    assert row["active"] is True

    assert "Keep it" in show(send, admin, f"{at}/delete")
    assert post(f"{at}/delete").status_code == 303
    assert "my-app" not in show(send, admin, "/adm")
    assert post(f"{at}/delete").status_code == 404


def test_a_task_is_watched_until_its_picture_is_there(send: InProcess, admin: dict[str, str]):
    send.world.tasks.finish_after_seconds(60)
    task = submit(send, output_formats=["svg"])
    assert 'http-equiv="refresh"' in show(send, admin, f"/adm/tasks/{task}")
    assert 'http-equiv="refresh"' not in show(send, admin, f"/adm/tasks/{task}?still=1")
    send.world.clock.advance(60)
    page = show(send, admin, f"/adm/tasks/{task}")
    assert "refresh" not in page
    assert "bar chart" in page
    assert send("GET", f"/adm/tasks/{task}/figure.png", headers=admin).content.startswith(b"\x89PNG")
    assert send("GET", f"/adm/tasks/{task}/figure.svg", headers=admin).headers["content-type"] == "image/svg+xml"
    assert send("GET", f"/adm/tasks/{task}/figure.pdf", headers=admin).status_code == 404


def test_a_failing_webhook_is_seen_being_tried_again(send: InProcess, admin: dict[str, str]):
    task = submit(send, webhook_url="http://127.0.0.1:9/")
    send.world.clock.advance(0)
    page = show(send, admin, f"/adm/tasks/{task}")
    assert "retrying" in page
    assert page.count("connection refused") == 1
    assert "2026-01-01 00:00:05" in page
    send.world.clock.advance(80)
    over = show(send, admin, f"/adm/tasks/{task}")
    assert over.count("connection refused") == 4
    assert "Next try" not in over
    assert 'http-equiv="refresh"' not in over
    assert "failed" in show(send, admin, "/adm/tasks")


def test_the_history_has_pages_and_a_filter(send: InProcess, admin: dict[str, str]):
    send.world.tasks.finish_after_seconds(60)
    tasks = [submit(send) for _ in range(21)]
    first = show(send, admin, "/adm/tasks")
    assert tasks[20] in first
    assert tasks[0] not in first
    assert "Older" in first
    assert tasks[0] in show(send, admin, "/adm/tasks?page=2")
    completed = show(send, admin, "/adm/tasks?status=completed")
    assert "4 tasks" in completed
    assert tasks[0] not in completed
    for odd in ("page=0", "page=x", "page=99999999999999", "status=%3Cscript%3E", "page=-1"):
        assert "<script" not in show(send, admin, f"/adm/tasks?{odd}")


def test_what_callers_write_is_shown_as_text(send: InProcess, admin: dict[str, str]):
    evil = "<img src=x onerror=alert(1)>"
    send("POST", "/adm/keys", headers=admin, content="name=" + evil.replace(" ", "+"))
    task = submit(send, intent=evil, webhook_url=f"http://127.0.0.1:9/{evil}")
    send.world.clock.advance(0)
    for path in ("/adm", "/adm/tasks", f"/adm/tasks/{task}", "/adm/keys/3"):
        page = show(send, admin, path)
        assert "<img src=x" not in page
        Outline(page)
    assert "&lt;img src=x" in show(send, admin, "/adm")


def test_a_page_of_one_world_is_closed_to_the_admin_of_another(send: InProcess, admin: dict[str, str]):
    other = send.worlds.create(kind="documents")
    key = other.credentials["paperbanana-admin"][0]
    theirs = {**HERE, "cookie": f"paperbanana_admin={key}"}
    send("POST", "/adm/keys", headers=theirs, content="name=hidden")
    assert "hidden" in show(send, theirs, "/adm")
    assert "hidden" not in show(send, admin, "/adm")


def test_a_form_too_long_or_of_odd_bytes_is_no_form(send: InProcess, admin: dict[str, str]):
    for content in (b"name=" + b"a" * 70_000, b"\xff\xfe", b""):
        assert send("POST", "/adm/keys", headers=admin, content=content).status_code == 422
    assert send("PUT", "/adm", headers=admin).status_code == 405
    assert send("GET", "/adm/nothing", headers=admin).status_code == 404


def test_logging_out_takes_the_cookie_away(send: InProcess, admin: dict[str, str]):
    answer = send("POST", "/adm/logout", headers=admin)
    assert 'paperbanana_admin=""' in answer.headers["set-cookie"]
