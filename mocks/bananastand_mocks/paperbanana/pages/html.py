"""HTML as text, everything escaped that is not HTML already. Knows no page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

__all__ = ["Html", "button", "document", "field", "page", "table", "tag"]

VOID = frozenset(("br", "img", "input", "link", "meta"))


class Html(str):
    """Text that is HTML already."""


def tag(name: str, /, *content: str, **attributes: str | bool | None) -> Html:
    """An element. An attribute that is None or False is left out; `class_` and `for_` are class and for."""
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(value)}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{told}>" + ("" if name in VOID else f"{page(content)}</{name}>"))


def page(content: Iterable[str]) -> Html:
    """Pieces one after the other."""
    return Html("".join(each if isinstance(each, Html) else html.escape(each) for each in content))


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str, titled: bool = False
) -> Html:
    """A table whose first column names the row; on a phone each row stands by itself, its cells named.

    A caption that the page's title has said already is read to those who do not see the page.
    """
    body = [
        tag("tr", *(
            tag("th" if i == 0 else "td", cell, scope="row" if i == 0 else None, data_label=heads[i])
            for i, cell in enumerate(row)
        ))
        for row in rows
    ]  # fmt: skip
    if not body:
        return page([tag("h2", caption), tag("p", empty)])
    head = tag("tr", *(tag("th", each, scope="col") for each in heads))
    return tag(
        "table", tag("caption", caption, class_="unseen" if titled else None), tag("thead", head), tag("tbody", *body)
    )


def field(label: str, name: str, *, kind: str = "text", value: str = "", hint: str = "", **more: str | bool) -> Html:
    """A labelled input."""
    told = tag("span", hint, class_="hint", id=f"{name}-hint") if hint else Html("")
    box = tag("input", type=kind, name=name, id=name, value=value, aria_describedby=f"{name}-hint" if hint else None,
              autocomplete="off", **more)  # fmt: skip
    return tag("p", tag("label", label, for_=name), box, told)


def button(action: str, text: str, *, about: str = "", kind: str = "") -> Html:
    """A form that is a button; `about` is read to those who do not see which row it stands in."""
    label = page([text, tag("span", f" {about}", class_="unseen") if about else Html("")])
    return tag("form", tag("button", label, class_=kind or None), method="post", action=action)


def document(title: str, root: str, content: Sequence[str], *, refresh: int | None = None, known: bool = True) -> str:
    """A whole page. With `refresh` the browser asks again after so many seconds."""
    links = [tag("a", "Keys", href=f"{root}/adm"), tag("a", "History", href=f"{root}/adm/tasks")] if known else []
    leave = [button(f"{root}/adm/logout", "Log out")] if known else []
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="refresh", content=str(refresh)) if refresh else Html(""),
        tag("title", f"{title} \u00b7 PaperBanana admin"),
        tag("link", rel="stylesheet", href=f"{root}/adm/style.css"),
    )
    body = tag(
        "body",
        tag("a", "Skip to content", href="#content", class_="skip"),
        tag("header", tag("strong", "PaperBanana"), tag("nav", *links, aria_label="Pages"), *leave),
        tag("main", tag("h1", title), *content, id="content"),
    )
    return f"<!doctype html>{tag('html', head, body, lang='en')}"
