"""How many uploaded archives a runtime keeps."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["expired_uploads"]

UPLOADS_KEPT = 20
UPLOADS_BYTES = 256 * 2**20


def expired_uploads(sizes: Mapping[str, int]) -> list[str]:
    """Return the keys beyond the last UPLOADS_KEPT and UPLOADS_BYTES; the newest is always kept.

    Args:
        sizes: Bytes of each upload by its key, oldest first; 0 before it has come.
    """
    total, count, expired = sum(sizes.values()), len(sizes), list[str]()
    for key, size in sizes.items():
        if count <= UPLOADS_KEPT and (total <= UPLOADS_BYTES or count <= 1):
            break
        expired.append(key)
        total, count = total - size, count - 1
    return expired
