"""Keeps keys out of the log of httpx2, which names the URL of each request.

LowCodeAPI wants its token in the query, PaperBanana's admin operations have a key in the path, and a base URL may have
a password.
"""

from __future__ import annotations

import logging
import re

__all__ = ["mask_keys"]

SECRETS = re.compile(r"(?<=api_token=)[^&\s\"']+|(?<=/api/admin/keys/)[^/?\s\"']+|(?<=://)[^/@\s]+(?=@)")


def mask_keys(record: logging.LogRecord) -> bool:
    """Mask the keys in the URLs of a record, which is always to be logged."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            SECRETS.sub("...", text) if SECRETS.search(text := str(part)) else part for part in record.args
        )
    return True


logging.getLogger("httpx2").addFilter(mask_keys)
