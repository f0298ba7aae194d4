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

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

__all__ = ["DESKTOP", "PHONE", "chromium", "faults", "focused", "page", "tab_to"]

DESKTOP: ViewportSize = {"width": 1100, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}
QUIET = ["--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
PATIENCE = 20_000  # milliseconds

FAULTS = """() => {
  const faults = [], numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const part = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = colour => 0.2126 * part(colour[0]) + 0.7152 * part(colour[1]) + 0.0722 * part(colour[2]);
  const ground = element => {
    for (let each = element; each; each = each.parentElement) {
      const colour = numbers(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const seen = element => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.right > 0 && getComputedStyle(element).visibility === "visible";
  };
  if (document.documentElement.scrollWidth > innerWidth)
    faults.push(`the page is ${document.documentElement.scrollWidth} wide, the window ${innerWidth}`);
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, words = texts.currentNode.textContent.trim();
    if (!words || !seen(element)) continue;
    const style = getComputedStyle(element);
    const levels = [light(numbers(style.color)), light(ground(element))].sort((a, b) => b - a);
    const contrast = (levels[0] + 0.05) / (levels[1] + 0.05);
    if (contrast < 4.5) faults.push(`${words.slice(0, 40)}: contrast ${contrast.toFixed(2)}`);
    if (parseFloat(style.fontSize) < 12) faults.push(`${words.slice(0, 40)}: letters of ${style.fontSize}`);
  }
  for (const each of document.querySelectorAll("button, input, select, summary")) {
    const self = each.outerHTML.slice(0, 80);
    if (seen(each) && each.getBoundingClientRect().height < 24) faults.push(`${self} is too small`);
    if (each.matches("input, select") && !each.labels.length) faults.push(`${self} has no label`);
  }
  for (const each of document.images) {
    if (!each.alt) faults.push(`${each.src} has no alt`);
    if (each.complete && !each.naturalWidth) faults.push(`${each.src} shows nothing`);
  }
  if (document.querySelectorAll("h1").length !== 1) faults.push("there is not one h1");
  return faults;
}"""
FOCUSED = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const name = element.labels?.length ? element.labels[0].textContent : element.textContent;
  const box = element.getBoundingClientRect();
  return { tag: element.tagName, name: name.trim().replace(/\\s+/g, " "), left: box.left,
           outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth) };
}"""


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
