"""Go Bananas!' gallery in Chromium: looked at, searched, and read on a phone and in the dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2
import pytest

from bananastand_mocks.running import RunningServer
from browser import faults, tab_to

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.needs("chromium")

PROMPTS = {"A sunset over mountains with purple clouds": "16:9", "<b>Two</b> bananas on a table": "square",
           "A city at night in the rain, " + "neon" * 40: "9:16"}  # fmt: skip


@pytest.fixture(scope="module")
def gallery(mock_server: RunningServer) -> str:
    """The address of a gallery of four pictures."""
    at = mock_server.stand().endpoint("gobananas")
    with httpx2.Client(base_url=at.base_url, headers={"X-API-Key": at.key}, timeout=60) as http:
        for prompt, ratio in PROMPTS.items():
            body = {"prompt": prompt, "aspect_ratio": ratio, "negative_prompt": "people"}
            assert http.post("/api/images", json=body).status_code == 200
        assert http.post("/api/images/continue", json={"prompt": "with a moon"}).status_code == 200
    return f"{at.base_url}/gallery"


def test_pictures_are_found_and_opened(page: Page, gallery: str):
    page.goto(gallery)
    assert page.get_by_role("listitem").count() == 4
    assert "of 1000 images" in page.get_by_text("This month").inner_text()
    assert page.get_by_text("<b>Two</b> bananas on a table").is_visible()

    page.get_by_label("Search in prompts").fill("sunset")
    page.keyboard.press("Enter")
    page.get_by_text("1 image", exact=True).wait_for()
    (card,) = page.get_by_role("listitem").all()
    card.get_by_text("Details").click()
    assert "1820 x 1024 png" in card.inner_text()
    card.get_by_role("link").click()
    assert page.evaluate("[document.images[0].naturalWidth, document.images[0].naturalHeight]") == [1820, 1024]


def test_the_keyboard_alone_is_enough(page: Page, gallery: str):
    page.goto(gallery)
    tab_to(page, "Search in prompts")
    page.keyboard.type("banana")
    tab_to(page, "Search")
    page.keyboard.press("Enter")
    page.get_by_text("1 image", exact=True).wait_for()
    tab_to(page, "Details")
    page.keyboard.press("Enter")
    assert page.get_by_text("Negative prompt").is_visible()


def test_the_page_can_be_read(page: Page, gallery: str):
    for address in (gallery, f"{gallery}?search=nothing", f"{gallery}?page=9"):
        page.goto(address)
        for summary in page.get_by_text("Details").all():
            summary.click()
        assert faults(page) == []
