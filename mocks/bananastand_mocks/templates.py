"""HTML pages of the mocks from Jinja2 templates, everything escaped that is not HTML already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["PAGE_HEADERS", "STYLE_SHEET", "render_template"]

PARTS = Path(__file__).with_name("page_parts")  # what pages of all folders may use
STYLE_SHEET = PARTS / "style.css"
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
PAGE_HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer a browser would send its own forms with Origin: null
}

Filters = Mapping[str, Callable[..., Any]]


def render_template(folder: Path, name: str, filters: Filters, **context: Any) -> bytes:
    """Renders a template of a folder as UTF-8.

    Args:
        folder: Where the template and those it extends lie, beside those of `page_parts`.
        name: The template's file name.
        filters: Functions that the templates of this folder use, by name; always the same for a folder.
        context: The template's variables.
    """
    environment = _environment(folder)
    environment.filters.update(filters)
    return environment.get_template(name).render(context).encode("utf-8", "replace")


@cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # imported when the first page is shown

    return Environment(
        loader=FileSystemLoader([folder, PARTS]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
