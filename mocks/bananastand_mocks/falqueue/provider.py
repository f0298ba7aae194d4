"""fal.ai's inference API: keys, errors, what a world holds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.response import ApiResponse
from bananastand.outbound import AddressPolicy

from ..falai.provider import KEY, SCHEMES
from ..kernel.call import ApiCall
from ..kernel.provider import Provider
from ..kernel.world import World
from ..kernel.worlds import Kind
from . import queue, storage
from .addresses import HOSTS
from .errors import render
from .lifecycle import RequestRunner
from .seeds import fill
from .webhooks import WebhookSender, get_webhook_keys

__all__ = ["FalQueueProvider"]

ANONYMOUS = frozenset({"get_media", "put_media", "put_part", "complete_multipart_upload", "get_webhook_keys"})


class FalQueueProvider(Provider):
    """fal-queue, at /fal-queue: queue.fal.run; below /run fal.run, below /rest rest.fal.ai, below /media the CDN.

    Args:
        webhooks: Addresses that may be posted to beside those of this machine.
    """

    name = "fal-queue"
    mount = "/fal-queue"
    contract_file = Path(__file__).with_name("openapi.yaml")
    title = "fal.ai queue"
    summary = "Runs of models: queue, status, results, webhooks, synchronous runs, file storage"
    max_body = 100 * 2**20  # files come this way
    credentials = (KEY,)
    hosts = HOSTS
    endpoints = {
        "submit": queue.submit,
        "status": queue.status,
        "stream": queue.stream,
        "result": queue.result,
        "cancel": queue.cancel,
        "run": queue.run,
        "initiate_upload": storage.initiate_upload,
        "initiate_multipart_upload": storage.initiate_multipart_upload,
        "create_multipart_upload": storage.create_multipart_upload,
        "put_part": storage.put_part,
        "complete_multipart_upload": storage.complete_multipart_upload,
        "put_media": storage.put_media,
        "create_upload_token": storage.create_upload_token,
        "upload_file": storage.upload_file,
        "get_media": storage.get_media,
        "get_webhook_keys": get_webhook_keys,
    }

    def __init__(self, *, webhooks: Iterable[str] = ()) -> None:
        self.runner = RequestRunner(WebhookSender(AddressPolicy.loopback(webhooks)))
        self.events, self.resources = self.runner.events, {"runner": self.runner}

    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """Return the key after the word Key, or Bearer; files and webhook keys need none."""
        if call.operation.id in ANONYMOUS:
            return None
        authorization = call.headers.get("authorization", "")
        if not authorization.lower().startswith(SCHEMES):
            raise ProviderError("unauthorized")
        return KEY.kind, authorization.partition(" ")[2].strip()

    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """Render {"detail": ...}."""
        return render(problem, call)

    def fill(self, world: World, kind: Kind) -> None:
        """Put in the settings; in the documents world also a request in each state."""
        fill(world, kind)
