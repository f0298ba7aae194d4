"""Pictures of the pages of the mocks, for docs/mocks.md: `python docs/screenshots.py`. Needs Chromium and Playwright.

Everything on them happened: keys were made, plots submitted, webhooks refused, on a server that is started here.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

import bananastand_mocks
from bananastand_mocks.running import Endpoint, RunningServer

HERE = Path(__file__).parent
DESKTOP, PHONE = {"width": 980, "height": 720}, {"width": 360, "height": 720}
ABLATION = {
    "data_json": '{"component": ["Full system", "Without hard negatives", "Without reranking", "Without retrieval"],'
    ' "EM": [47.9, 44.1, 42.7, 38.2], "EM_std": [0.4, 0.5, 0.7, 0.6]}',
    "intent": "Ablation as horizontal bars with value labels, x-axis: 'Exact match (%)'",
    "aspect_ratio": "16:9",
    "output_formats": ["svg"],
}
PROMPTS = ("A sunset over mountains with purple clouds", "Two bananas and a red apple on a table",
           "A city at night in the rain", "A lighthouse by the sea, storm", "A robot in a forest, misty morning",
           "A desert with three cacti")  # fmt: skip


def main() -> None:
    """Write the files."""
    with bananastand_mocks.start("paperbanana", "gobananas") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        admin(browser, server)
        gallery(browser, server.endpoint("gobananas"))
        control_plane(browser, server)
        browser.close()


def control_plane(browser: Browser, server: RunningServer) -> None:
    """A world with stubs and faults, and a call that it misses on a phone in the dark."""
    session = server.stand()
    at = session.endpoint("gobananas")
    session.stub("list_images", times=2).respond(503, headers={"Retry-After": "3"}).respond(json={"success": True})
    session.stub("create_image", body_paths={"$.prompt": {"contains": "cherry"}}).respond(418)
    session.faults.next_calls(1, "status", "get_profile", status=429)
    with httpx2.Client(base_url=at.base_url, headers={"X-API-Key": at.key}, timeout=60) as http:
        http.post("/api/images", json={"prompt": "a ripe banana", "aspect_ratio": "square"})
        for path in ("/api/images", "/api/profile", "/api/profile", "/api/nowhere"):
            http.get(path)
    address = f"{server.url}/_stand/pages/{session.world.name}"
    page = window(browser, DESKTOP, "light")
    page.goto(address)
    page.get_by_text("Near misses").first.click()
    save(page, "mocks-world.png", full_page=True)
    page = window(browser, PHONE, "dark")
    page.goto(f"{address}/journal?status=503")
    save(page, "mocks-journal-phone.png", full_page=True)


def admin(browser: Browser, server: RunningServer) -> None:
    """The keys, a task whose webhook is being retried, and the same on a phone in the dark."""
    at, session = server.endpoint("paperbanana"), server.default
    with httpx2.Client(base_url=at.base_url) as http:
        as_admin = {"authorization": f"Bearer {at.admin_key}"}
        for name, quota in (("research-team", 100), ("thesis", 3)):
            created = http.post("/api/admin/keys", json={"name": name, "quota": quota}, headers=as_admin).json()
        body = {**ABLATION, "webhook_url": "http://127.0.0.1:9/figures"}
        key = {"authorization": f"Bearer {created['key']}"}
        task = http.post("/api/plot", json=body, headers=key).json()["task_id"]
        prompt = {"description": "Draw an encoder with 6 blocks."}
        http.post("/api/optimize-prompt", json=prompt, headers=key)
        session.clock.advance(6)
    page = window(browser, DESKTOP, "light")
    log_in(page, at)
    save(page, "paperbanana-keys.png")
    page.goto(f"{at.base_url}/adm/tasks/{task}?still=1")
    save(page, "paperbanana-task.png", full_page=True)
    page = window(browser, PHONE, "dark")
    log_in(page, at)
    save(page, "paperbanana-phone.png")


def gallery(browser: Browser, at: Endpoint) -> None:
    """The gallery of Go Bananas!."""
    with httpx2.Client(base_url=at.base_url, headers={"X-API-Key": at.key}, timeout=60) as http:
        for prompt in PROMPTS:
            http.post("/api/images", json={"prompt": prompt, "aspect_ratio": "4:3"}).raise_for_status()
    page = window(browser, DESKTOP, "light")
    page.goto(f"{at.base_url}/gallery", wait_until="networkidle")
    save(page, "gobananas-gallery.png")


def window(browser: Browser, size: Any, scheme: Any) -> Page:
    return browser.new_context(viewport=size, color_scheme=scheme).new_page()


def log_in(page: Page, at: Endpoint) -> None:
    page.goto(f"{at.base_url}/adm")
    page.get_by_label("Admin key").fill(at.admin_key)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="New key").wait_for()


def save(page: Page, name: str, *, full_page: bool = False) -> None:
    """The page as a small PNG."""
    Image.open(io.BytesIO(page.screenshot(full_page=full_page))).convert("RGB").quantize(192).save(
        HERE / name, optimize=True
    )


if __name__ == "__main__":
    main()
