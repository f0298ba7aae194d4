"""Debian's Chromium, headless, driven by Playwright: the fixtures `chromium` and `page`, and what is wrong with a page.

Playwright brings a driver and no browser. Its loop belongs to the test's own thread, so that a test here cannot use
asyncio.run.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from paths import SUPPORT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

__all__ = ["DESKTOP", "PHONE", "chromium", "faults", "focused", "page", "tab_to"]

DESKTOP: ViewportSize = {"width": 1100, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}
QUIET = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
PATIENCE = 20_000  # milliseconds

FAULTS, FOCUSED = ((SUPPORT / name).read_text() for name in ("page_faults.js", "page_focus.js"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A fresh window. The test fails where a page complained on the console, or asked another host for something."""
    context = chromium.new_context(viewport=DESKTOP)
    context.set_default_timeout(PATIENCE)
    page, hosts, complaints = context.new_page(), set[str](), list[str]()
    context.on("request", lambda request: hosts.add(request.url.split("/")[2].partition(":")[0]))
    context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    yield page
    context.close()
    assert [
        complaint for complaint in complaints if not complaint.startswith("Failed to load resource: ")
    ] == []  # a 401, say
    assert hosts <= {"127.0.0.1", "localhost", ""}


def faults(page: Page) -> list[str]:
    """What of the page cannot be read or used, on a phone and a desktop, light and dark.

    That is: too wide, too pale, too small, unnamed, not loaded, or of the other scheme's ground.
    """
    found: list[str] = []
    for window in (PHONE, DESKTOP):
        page.set_viewport_size(window)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found += [f"{window['width']} {scheme}: {fault}" for fault in page.evaluate(FAULTS)]
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            if (sum(map(int, re.findall(r"\d+", ground)[:3])) > 600) != (scheme == "light"):
                found.append(f"{window['width']} {scheme}: the ground is {ground}")
    return found


def focused(page: Page) -> dict[str, Any]:
    """The element that has the focus: its tag and name, where it is, how wide its outline."""
    return page.evaluate(FOCUSED)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element of this name has the focus, which has to be seen on everything passed."""
    for _ in range(60):
        page.keyboard.press("Tab")
        now = focused(page)
        if now["tag"] != "BODY":
            assert now["outline"] >= 2, now
            assert now["left"] >= 0, now
        if now["name"] == name:
            return
    raise AssertionError(f"Tab leads to no {name}")
