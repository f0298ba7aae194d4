"""PaperBanana's admin pages in Chromium: what somebody does there from the first key to the last, and how it looks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer

from bananastand_mocks.running import Endpoint, MockSession
from browser import faults, focused, tab_to

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.needs("chromium")

NOBODY = "http://127.0.0.1:9/hook"
PLOT = {
    "data_json": '{"models": ["ResNet-50", "ViT-B/16", "EfficientNet-B4"], "accuracy": [76.1, 81.8, 82.9]}',
    "intent": "Bar chart comparing model accuracy with value labels",
}


def submit(at: Endpoint, key: str, **more: Any) -> str:
    response = httpx2.post(f"{at.base_url}/api/plot", json={**PLOT, **more}, headers={"authorization": f"Bearer {key}"})
    assert response.status_code == 202
    return response.json()["task_id"]


def log_in(page: Page, at: Endpoint) -> None:
    page.goto(f"{at.base_url}/adm")
    page.get_by_label("Admin key").fill(at.admin_key)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="Keys", exact=True, level=1).wait_for()


def test_from_a_new_key_to_its_picture_and_back(page: Page, stand: MockSession, paperbanana: Endpoint):
    stand.tasks.finish_after_seconds(60)
    log_in(page, paperbanana)
    page.get_by_label("Name").fill("lab")
    page.get_by_label("Quota").fill("3")
    page.get_by_role("button", name="Create key").click()
    key = page.get_by_role("status").locator("code").inner_text()
    assert re.fullmatch(r"pb_[0-9a-f]{32}", key)

    task = submit(paperbanana, key, webhook_url=NOBODY, output_formats=["svg", "pdf"])
    page.goto(f"{paperbanana.base_url}/adm")
    assert key not in page.content()
    assert "2 of 3" in page.get_by_role("row", name=re.compile("^lab")).inner_text()
    page.get_by_role("link", name=task).click()
    page.get_by_text("pending", exact=True).wait_for()
    assert page.get_by_role("img").count() == 0

    stand.clock.advance(60)  # and the page asks again by itself
    page.get_by_text("completed", exact=True).wait_for()
    picture = page.get_by_role("img")
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [1920, 1440]
    assert "bar chart of Accuracy" in str(picture.get_attribute("alt"))
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF").click()
    assert download.value.suggested_filename == "figure.pdf"

    tries = page.get_by_role("row").filter(has_text="connection refused")
    tries.first.wait_for()
    assert (tries.count(), page.get_by_text("retrying").count()) == (1, 1)
    assert "00:01:05" in page.get_by_text("Next try").locator("xpath=following-sibling::dd[1]").inner_text()
    stand.clock.advance(5)
    tries.nth(1).wait_for()
    stand.clock.advance(75)
    page.reload()
    assert tries.count() == 4
    assert page.get_by_text("Next try").count() == 0
    assert page.get_by_text("failed", exact=True).is_visible()

    page.get_by_role("link", name="Keys").click()
    page.get_by_role("button", name="Disable lab").click()
    assert "disabled" in page.get_by_role("row", name=re.compile("^lab")).inner_text()
    refused = httpx2.post(
        f"{paperbanana.base_url}/api/plot", json=PLOT, headers={"authorization": f"Bearer {key}"}
    ).json()
    assert refused == {"detail": "API key is disabled"}
    page.get_by_role("link", name="Delete lab").click()
    page.get_by_role("button", name="Delete lab").click()
    assert page.get_by_role("row", name=re.compile("^lab")).count() == 0
    page.get_by_role("button", name="Log out").click()
    assert page.get_by_label("Admin key").is_visible()


def test_the_keyboard_alone_is_enough(page: Page, stand: MockSession, paperbanana: Endpoint):
    page.goto(f"{paperbanana.base_url}/adm")
    assert focused(page)["name"] == "Admin key"
    page.keyboard.type(paperbanana.admin_key)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="New key").wait_for()

    page.keyboard.press("Tab")
    assert focused(page)["name"] == "Skip to content"
    page.keyboard.press("Enter")
    tab_to(page, "Disable ready-made")  # the first thing after the links of the header
    tab_to(page, "Name")
    page.keyboard.type("by hand")
    tab_to(page, "Create key")
    page.keyboard.press("Enter")
    page.get_by_role("status").wait_for()

    tab_to(page, "Disable by hand")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Enable by hand").wait_for()
    tab_to(page, "Delete by hand")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Delete by hand?").wait_for()
    tab_to(page, "Delete by hand")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Keys", exact=True, level=1).wait_for()
    assert [row["name"] for row in stand.world.table("paperbanana.keys").values()] == ["ready-made"]


def test_every_page_can_be_read(page: Page, stand: MockSession, paperbanana: Endpoint):
    task = submit(paperbanana, paperbanana.key, webhook_url=NOBODY, output_formats=["svg"])
    stand.tasks.fail_next(1, "no brush at hand")
    failed = submit(paperbanana, paperbanana.key)
    stand.clock.advance(1)
    page.goto(f"{paperbanana.base_url}/adm")
    assert faults(page) == []
    log_in(page, paperbanana)
    for path in ("", "/keys/1", "/keys/1/delete", "/tasks", f"/tasks/{task}?still=1", f"/tasks/{failed}"):
        page.goto(f"{paperbanana.base_url}/adm{path}")
        assert (path, faults(page)) == (path, [])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_no_other_site_gets_in(
    chromium: Browser, stand: MockSession, paperbanana: Endpoint, httpserver: HTTPServer, host: str
):
    """Somebody else's page posts the admin's form, in the admin's own browser; a port does not make another site."""
    form = f'<form method="post" action="{paperbanana.base_url}/adm/keys"><input name="name" value="theirs"></form>'
    httpserver.expect_request("/").respond_with_data(form, content_type="text/html")
    with chromium.new_context() as context:
        page = context.new_page()
        log_in(page, paperbanana)
        page.goto(f"http://{host}:{httpserver.port}/")
        with page.expect_navigation() as answer:
            page.evaluate("document.forms[0].submit()")
        assert answer.value.status == 403
        assert len(stand.world.table("paperbanana.keys")) == 1
        page.goto(f"{paperbanana.base_url}/adm")
        assert page.get_by_label("Name").is_visible()  # the admin is still in
