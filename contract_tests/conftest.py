"""Fixtures of the contract tests: the browser, respx below our clients, and recorded evidence for docs/fidelity.md.

respx replaces httpcore; the clients use httpcore2, so that respx gets that as another target.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
import respx
from respx.mocks import HTTPCoreMocker

from browser import chromium, page
from needs import pytest_runtest_setup
from tools.fidelity.evidence import recording, write_part

__all__ = ["HTTPCore2Mocker", "caught", "chromium", "page", "pytest_runtest_setup"]


class HTTPCore2Mocker(HTTPCoreMocker):
    """respx for httpx2. Responses are respx's own, which httpx2 reads like httpcore2's."""

    name = "httpcore2"
    targets = [target.replace("httpcore.", "httpcore2.") for target in HTTPCoreMocker.targets]


@pytest.fixture
def caught() -> Iterator[respx.MockRouter]:
    """Answers every request in the process; a request without a route is an error."""
    with respx.mock(using="httpcore2", assert_all_called=False) as router:
        yield router


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    with recording(item):
        return (yield)


def pytest_sessionfinish() -> None:
    write_part()
