"""The addresses in answers: on the mock, or on fal's own hosts where the client called one of them."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..kernel.call import ApiCall

__all__ = ["HOSTS", "media_base", "queue_base"]

QUEUE, MEDIA = "queue.fal.run", "v3.fal.media"
HOSTS = {
    QUEUE: "/fal-queue",
    "fal.run": "/fal-queue/run",
    "rest.fal.ai": "/fal-queue/rest",
    "rest.alpha.fal.ai": "/fal-queue/rest",
    MEDIA: "/fal-queue/media",
}


def queue_base(call: ApiCall) -> str:
    """Return what the addresses of requests begin with."""
    return _own(call, QUEUE) or f"{call.origin}{call.root}"


def media_base(call: ApiCall) -> str:
    """Return what the addresses of files begin with."""
    return _own(call, MEDIA) or f"{call.origin}{call.root}/media"


def _own(call: ApiCall, host: str) -> str:
    """The origin of one of fal's hosts; nothing where the client called the mock by another name."""
    called = urlsplit(call.origin)
    return f"{called.scheme}://{host}" if called.hostname in HOSTS else ""
