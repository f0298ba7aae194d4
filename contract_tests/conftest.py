"""Shared by the contract tests: the `needs` marker, the browser, and respx for our clients; what tests do is noted.

respx stands in for httpcore; the clients' is httpcore2.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
import respx
from respx.mocks import HTTPCoreMocker

from browser import chromium, page
from needs import pytest_runtest_setup
from tools.fidelity.evidence import noting, write_part

__all__ = ["HTTPCore2Mocker", "caught", "chromium", "page", "pytest_runtest_setup"]


class HTTPCore2Mocker(HTTPCoreMocker):
    """The same below httpx2. Answers are respx's own, which httpx2 reads as it reads httpcore2's."""

    name = "httpcore2"
    targets = [target.replace("httpcore.", "httpcore2.") for target in HTTPCoreMocker.targets]


@pytest.fixture
def caught() -> Iterator[respx.MockRouter]:
    """Nothing leaves the process: every request is answered here, or is an error."""
    with respx.mock(using="httpcore2", assert_all_called=False) as router:
        yield router


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    with noting(item):
        return (yield)


def pytest_sessionfinish() -> None:
    write_part()
