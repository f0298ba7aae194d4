"""The gallery as a page for people, made on the server without script, font or content from another host.

It shows the world of its address, because a browser's address line sends no key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.world import World
from ..templates import render_template
from . import ledger
from .images import matching
from .serializers import image_urls
from .state import Row, iso, setting, tenant

__all__ = ["show_gallery"]

TEMPLATES = Path(__file__).with_name("templates")
PAGE_SIZE = 24
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
DETAILS = {
    "session_id": "Session",
    "model_id": "Model",
    "aspect_ratio": "Aspect ratio",
    "negative_prompt": "Negative prompt",
    "system_instruction": "System instruction",
    "parent_id": "Edit of",
}


def show_gallery(world: World, call: ApiCall, parameters: dict[str, Any]) -> ApiResponse:
    """Returns a page of the images whose prompts hold `search`, newest first, with the month's quota."""
    search, number = parameters.get("search", ""), parameters.get("page", 1)
    rows = matching(world, search)
    page = render_template(
        TEMPLATES,
        "gallery.html",
        {},
        tenant=tenant(world)["tenantName"],
        quota=_quota(world),
        search=search,
        total=len(rows),
        images=[_image(call, row) for row in rows[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]],
        links=_links(search, number, len(rows)),
    )
    return ApiResponse(page, 200, dict(HEADERS), "text/html; charset=utf-8")


def _quota(world: World) -> str:
    used = ledger.month(world)
    images, storage = setting(world, "gobananas.monthly_images"), setting(world, "gobananas.monthly_mb")
    return f"{used['images']} of {images} images, {ledger.megabytes(used['bytes'])} of {storage} MB"


def _image(call: ApiCall, row: Row) -> dict[str, Any]:
    """What the page shows of an image; its addresses without a host, so that the page works behind any."""
    urls = image_urls(call, row)
    size = f"{row['width']} x {row['height']} {row['format']}"
    return {
        "id": row["id"],
        "title": row["prompt"] or "Uploaded picture",
        "operation": row["operation_type"],
        "created": iso(row["created"]),
        "path": urls["url"].removeprefix(call.origin),
        "thumbnail_path": urls["thumbnail_url"].removeprefix(call.origin),
        "details": [("Size", size), *((name, row[key]) for key, name in DETAILS.items() if row[key] is not None)],
    }


def _links(search: str, number: int, total: int) -> list[tuple[str, str, str]]:
    """Query, text and relation of the links to the pages before and after."""
    return [
        (urlencode({**({"search": search} if search else {}), "page": page}, errors="replace"), text, relation)
        for page, text, relation in ((number - 1, "Newer", "prev"), (number + 1, "Older", "next"))
        if page >= 1 and (page - 1) * PAGE_SIZE < total
    ]
