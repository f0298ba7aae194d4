"""The control plane's pages in Chromium: a world is watched and changed by hand, without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2
import pytest

from bananastand_mocks.running import Endpoint, MockSession, RunningServer
from browser import DESKTOP, faults, tab_to

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def plain_page(chromium: Browser) -> Iterator[Page]:
    """A window whose browser runs no scripts."""
    context = chromium.new_context(viewport=DESKTOP, java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.fixture
def world(mock_server: RunningServer, stand: MockSession) -> str:
    """The address of the page of the test's world."""
    return f"{mock_server.url}/_stand/pages/{stand.world.name}"


def list_models(falai: Endpoint) -> httpx2.Response:
    return httpx2.get(f"{falai.base_url}/v1/models", params={"api_token": falai.key})


def test_clock_stubs_and_faults_are_changed_without_javascript(
    plain_page: Page, world: str, stand: MockSession, falai: Endpoint
) -> None:
    page = plain_page
    page.goto(f"{world.partition('/_stand')[0]}/")
    page.get_by_role("link", name=stand.world.name, exact=True).click()
    page.get_by_label("Move by, in seconds").fill("3600")
    page.get_by_role("button", name="Move clock").click()
    page.get_by_text("2026-01-01 01:00:00").wait_for()

    page.locator("summary", has_text="Add a stub").click()
    stubs = page.get_by_role("region", name="Stubs")
    stubs.get_by_label("Provider").select_option("falai")
    stubs.get_by_label("Operation").fill("no_such")
    stubs.get_by_label("Status").fill("503")
    stubs.get_by_label("Body").last.fill('{"detail": "later"}')
    stubs.get_by_role("button", name="Add stub").click()
    assert "no provider here has no_such" in page.get_by_role("alert").inner_text()
    stubs.get_by_label("Operation").fill("list_models")
    stubs.get_by_role("button", name="Add stub").click()
    page.get_by_role("heading", name="Stub 1: falai list_models").wait_for()
    assert (list_models(falai).status_code, list_models(falai).json()) == (503, {"detail": "later"})
    page.reload()
    assert "It was called 2 times." in stubs.inner_text()
    stubs.get_by_role("button", name="Remove stub 1").click()
    assert "No stub is set" in stubs.inner_text()

    page.locator("summary", has_text="Add a fault").click()
    page.get_by_role("region", name="Faults").get_by_label("Headers").fill("Retry-After: 7")
    page.get_by_role("button", name="Add fault").click()
    page.get_by_role("cell", name="0 of 0").wait_for()
    answers = [list_models(falai) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [500, 200]
    assert answers[0].headers["retry-after"] == "7"

    page.get_by_role("button", name="Reset world").click()
    page.get_by_text("No fault is set").wait_for()
    assert len(stand.journal) == 0


def test_a_call_is_found_in_the_journal(page: Page, world: str, falai: Endpoint, stand: MockSession) -> None:
    stand.stub("list_models").respond(429)
    list_models(falai)
    page.goto(world)
    page.get_by_role("link", name="Journal", exact=True).click()
    page.get_by_label("Status").fill("404")
    page.get_by_role("button", name="Find calls").click()
    page.get_by_role("heading", name="No call matches").wait_for()
    page.get_by_role("link", name="Call 1").click()
    page.get_by_role("heading", name="GET /v1/models", level=1).wait_for()
    assert page.get_by_role("link", name="stub 1").is_visible()


def test_the_keyboard_alone_is_enough(page: Page, world: str, stand: MockSession) -> None:
    page.goto(world)
    tab_to(page, "Move by, in seconds")
    page.keyboard.type("30")
    page.keyboard.press("Enter")
    page.get_by_text("2026-01-01 00:00:30").wait_for()
    assert stand.clock.now() == 1_767_225_630.0


def test_the_pages_can_be_read(page: Page, world: str, falai: Endpoint, stand: MockSession) -> None:
    stand.stub("list_models", times=1).respond(429)
    stand.stub("start_run", body_paths={"$.a": {"contains": "b" * 80}})
    stand.faults.next_calls(1, "status", status=503)
    for _ in range(2):
        list_models(falai)
    server = world.partition("/_stand")[0]
    pages = ["/", "/_stand/", "/_stand/contracts/falai"]
    for address in (world, f"{world}/journal", f"{world}/journal/1", f"{world}/journal?status=999",
                    *(server + path for path in pages)):  # fmt: skip
        page.goto(address)
        for summary in page.locator("summary").all():
            summary.click()
        assert faults(page) == [], address
