"""The gallery as a page for people: made on the server, without script, font or host from elsewhere.

It shows the world of its address, because a browser's address line sends no key.
"""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import urlencode

from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.world import World
from . import ledger
from .images import matching
from .serializers import addresses
from .state import Row, setting, tenant, told

__all__ = ["show_gallery"]

PAGE = 24
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
STYLE = """
:root{color-scheme:light dark;--back:#faf8f2;--card:#fff;--text:#26222d;--soft:#625b6b;--line:#ddd6c8;--mark:#8a5a00}
@media(prefers-color-scheme:dark){:root{--back:#17151c;--card:#221f29;--text:#f1edf6;--soft:#b0a8bb;--line:#3b3645;
--mark:#f5c842}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:80rem;background:var(--back);color:var(--text);
font:1rem/1.5 system-ui,sans-serif}
time{white-space:nowrap}h1{margin:.2rem 0;font-size:1.5rem}p{margin:.4rem 0}.soft,dt,time{color:var(--soft)}
a{color:var(--mark)}:focus-visible{outline:3px solid var(--mark);outline-offset:2px}
form{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center;margin:1rem 0}
input,button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:.4rem;
padding:.5rem .8rem}input{flex:1 1 12rem;min-width:0}
ul{list-style:none;margin:0;padding:0;display:grid;gap:1rem;
grid-template-columns:repeat(auto-fill,minmax(min(100%,16rem),1fr))}
li{background:var(--card);border:1px solid var(--line);border-radius:.6rem;overflow:hidden}
img{display:block;width:100%;height:12rem;object-fit:cover;background:var(--line)}
.told{padding:.6rem .8rem}.told p{overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:auto 1fr;gap:.1rem .8rem;margin:.4rem 0}dd{margin:0;overflow-wrap:anywhere}
summary{cursor:pointer}nav{display:flex;gap:1rem;margin:1.2rem 0}
"""
DETAILS = {
    "session_id": "Session",
    "model_id": "Model",
    "aspect_ratio": "Aspect ratio",
    "negative_prompt": "Negative prompt",
    "system_instruction": "System instruction",
    "parent_id": "Edit of",
}


def show_gallery(world: World, call: ApiCall, parameters: dict[str, Any]) -> ApiResponse:
    """A page of the images whose prompts hold `search`, newest first, with what of the quota is used."""
    search, number = parameters.get("search", ""), parameters.get("page", 1)
    found = matching(world, search)
    here = found[(number - 1) * PAGE : number * PAGE]
    cards = "".join(_card(call, row) for row in here)
    nothing = "No image's prompt holds these words." if search else "No images yet."
    body = f"<ul>{cards}</ul>" if cards else f"<p>{nothing}</p>"
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Go Bananas! gallery</title><style>{STYLE}</style>"
        f"<header><h1>Gallery of {escape(tenant(world)['tenantName'])}</h1>{_quota(world)}"
        '<form method="get" role="search"><label for="search">Search in prompts</label>'
        f'<input id="search" name="search" type="search" value="{escape(search)}">'
        "<button>Search</button></form></header>"
        f"<main><p class=soft>{_count(len(found))}</p>{body}</main>{_pages(search, number, len(found))}</html>"
    )
    return ApiResponse(page.encode("utf-8", "replace"), 200, dict(HEADERS), "text/html; charset=utf-8")


def _quota(world: World) -> str:
    made = ledger.month(world)
    images, storage = setting(world, "gobananas.monthly_images"), setting(world, "gobananas.monthly_mb")
    return (
        f"<p class=soft>This month: {made['images']} of {escape(str(images))} images, "
        f"{ledger.megabytes(made['bytes'])} of {escape(str(storage))} MB</p>"
    )


def _card(call: ApiCall, row: Row) -> str:
    where = addresses(call, row)
    title = row["prompt"] or "Uploaded picture"
    told_of = {"Size": f"{row['width']} x {row['height']} {row['format']}"}
    told_of |= {name: str(row[key]) for key, name in DETAILS.items() if row[key] is not None}
    rows = "".join(f"<dt>{name}<dd>{escape(value)}" for name, value in told_of.items())
    return (
        f'<li><a href="{escape(_path(call, where["url"]))}">'
        f'<img src="{escape(_path(call, where["thumbnail_url"]))}" alt="{escape(title[:200])}" loading="lazy"></a>'
        f'<div class="told"><p>{escape(title[:300])}</p><p class="soft">{row["id"]} · {row["operation_type"]} · '
        f'<time datetime="{told(row["created"])}">{told(row["created"])[:16].replace("T", " ")}</time></p>'
        f"<details><summary>Details</summary><dl>{rows}</dl></details></div></li>"
    )


def _path(call: ApiCall, url: str) -> str:
    """The address without its host, so that the page works behind any."""
    return url.removeprefix(call.origin)


def _count(total: int) -> str:
    return "1 image" if total == 1 else f"{total} images"


def _pages(search: str, number: int, total: int) -> str:
    links = ""
    for there, name, relation in ((number - 1, "Newer", "prev"), (number + 1, "Older", "next")):
        if there >= 1 and (there - 1) * PAGE < total:
            query = escape(urlencode({**({"search": search} if search else {}), "page": there}, errors="replace"))
            links += f'<a rel="{relation}" href="?{query}">{name}</a>'
    return f'<nav aria-label="Pages">{links}</nav>' if links else ""
