"""The two JavaScript snippets of document D that are meant for a page, run in a page of another site than the mock's.

The page has what the snippets expect: an input with a chosen file, and permission to open a window.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from paper_pdf import paper
from pytest_httpserver import HTTPServer
from snippets import for_a_page, snippets

from bananastand_mocks.running import Endpoint, RunningServer, MockSession

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def documents(mock_server: RunningServer) -> MockSession:
    return mock_server.stand(kind="documents")


@pytest.fixture
def yours(page: Page, httpserver: HTTPServer, tmp_path: Path) -> Page:
    """A page of the reader's own, with a PDF chosen."""
    (tmp_path / "paper.pdf").write_bytes(paper())
    body = '<!doctype html><html lang="en"><link rel="icon" href="data:,"><input type="file">'
    httpserver.expect_request("/").respond_with_data(body, content_type="text/html")
    page.goto(httpserver.url_for("/"))
    page.set_input_files("input", tmp_path / "paper.pdf")
    return page


def run(page: Page, operation: str, at: Endpoint) -> None:
    """The snippet with host and key replaced, as a module's top level would run it."""
    (example,) = [
        snippet for snippet in snippets("paperbanana", "javascript") if for_a_page(snippet) and snippet.operation == operation
    ]
    text = example.text.replace("https://api.paperbanana.me", at.base_url).replace("pb_your_api_key_here", at.key)
    page.evaluate(f"async () => {{ {text}\n }}")


def test_a_chosen_file_becomes_a_task(yours: Page, documents: MockSession):
    run(yours, "create_diagram_from_pdf", documents.endpoint("paperbanana"))
    (call,) = documents.journal
    assert (call.operation, call.status) == ("create_diagram_from_pdf", 202)
    (row,) = [
        value for value in documents.world.table("paperbanana.tasks").values() if "pdf_path" in value["input_params"]
    ]
    assert documents.world.blobs[row["input_params"]["pdf_path"]] == paper()
    assert documents.world.breaches == []


def test_a_picture_opens_in_a_window(yours: Page, documents: MockSession):
    with yours.expect_popup() as opened:
        run(yours, "get_task_image", documents.endpoint("paperbanana"))
    opened.value.wait_for_load_state()
    assert opened.value.url.startswith("blob:")
    assert opened.value.evaluate("document.images[0].naturalWidth") == 1920
    assert [(call.operation, call.status) for call in documents.journal] == [("get_task_image", 200)]
    assert documents.world.breaches == []


def test_two_examples_are_meant_for_a_page():
    found = [snippet.operation for snippet in snippets("paperbanana", "javascript") if for_a_page(snippet)]
    assert found == ["create_diagram_from_pdf", "get_task_image"]
