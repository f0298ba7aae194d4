"""Shared with tests/: the `needs` marker and the browser."""

from __future__ import annotations

from browser import chromium, page
from needs import pytest_runtest_setup

__all__ = ["chromium", "page", "pytest_runtest_setup"]
