"""Images as answers show them."""

from __future__ import annotations

from typing import Any

from ..kernel.call import ApiCall
from .state import Row, bucket, iso

__all__ = ["image_urls", "serialize_generated", "serialize_listed"]


def image_urls(call: ApiCall, row: Row) -> dict[str, str]:
    """Returns the public addresses of a picture and its thumbnail."""
    base = f"{call.origin}{call.root}/r2/{bucket(call.world)}"
    return {"url": f"{base}/{row['r2_key']}", "thumbnail_url": f"{base}/{row['thumbnail_key']}"}


def serialize_generated(call: ApiCall, row: Row) -> dict[str, Any]:
    """An image that was just made (B:92-100)."""
    return {
        "id": row["id"],
        **image_urls(call, row),
        **{name: row[name] for name in ("width", "height", "format", "size_bytes")},
    }


def serialize_listed(call: ApiCall, row: Row) -> dict[str, Any]:
    """An image in a list (B:134-141)."""
    return {
        "id": row["id"],
        **image_urls(call, row),
        "prompt": row["prompt"],
        "created_at": iso(row["created"]),
        "operation_type": row["operation_type"],
    }
