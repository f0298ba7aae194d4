"""fal.ai's inference API: the queue, synchronous runs, webhooks and file storage."""

from __future__ import annotations

from .provider import FalQueueProvider

__all__ = ["FalQueueProvider"]
