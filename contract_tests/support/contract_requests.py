"""A valid request for every operation of every contract, as short as it can be, and how to send it in process.

Ids are those of the documents world. A word in capitals stands for what no literal can name, such as a project's id or
the key of an upload; `RequestSender.resolve` puts it in.
"""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import httpx2

from bananastand_mocks.falqueue.seeds import COMPLETED, WAITING
from bananastand_mocks.gobananas import GoBananasProvider
from bananastand_mocks.kernel.provider import Provider
from bananastand_mocks.kernel.worlds import Worlds
from bananastand_mocks.providers import build
from contracts import contract, operation
from flat_painter import FlatPainter
from in_process import InProcess
from paper_pdf import paper

__all__ = ["ContractRequest", "RequestSender", "with_value", "sender_of", "valid_request"]

TOKEN = "at_r0123456789abcdef0123456789abcdef"
BANANA_KEY = "11111111-1111-1111-1111-111111111111"
PAPER_KEY, PAPER_ADMIN = "pb_" + "0" * 32, "admin-bananastand"
HEADERS = {
    "banana-native": {"x-banana-api-key": BANANA_KEY},
    "fal-native": {"authorization": "Key fal-bananastand"},
    "fal-queue": {"authorization": "Key fal-bananastand"},
    "gobananas": {"x-api-key": "sk_live_bananastand"},
    "paperbanana": {"authorization": f"Bearer {PAPER_KEY}"},
}
RUN = {"modelKey": "value", "modelInputs": {"prompt": "a", "width": 64, "height": 64}}
PDF = base64.b64encode(paper(("One page.",))).decode()
FAL = "fal-ai/flux/dev"
REQUESTS: dict[str, dict[str, dict[str, Any]]] = {
    "bananadev": {
        "start_run": {"body": RUN},
        "check_run": {"body": {"id": "value", "modelKey": "value"}},
        "run": {"body": RUN},
        "get_model": {"query": {"model_key": "value"}},
        "deploy_model": {"body": {"modelKey": "fresh", "source": "https://example.com/repo"}},
    },
    "falai": {
        "get_model": {"query": {"model_id": "fal-ai/flux-pro"}},
        "create_instance": {"body": {"instance_type": "gpu-1x-a10g"}},
        "get_instance": {"query": {"instance_id": "abc123"}},
        "delete_instance": {"query": {"instance_id": "abc123"}},
        "start_instance": {"query": {"instance_id": "abc123"}},
        "stop_instance": {"query": {"instance_id": "abc123"}},
        "monitor_instance": {"query": {"instance_id": "abc123"}},
        "batch": {"body": {"requests": [{"method": "GET", "path": "/v1/models"}]}},
    },
    "banana-native": {
        "start_run": {"body": {"apiKey": BANANA_KEY, **RUN}},
        "check_run": {"body": {"apiKey": BANANA_KEY, "callID": "value"}},
        "create_project": {"body": {"name": "fresh"}},
        "get_project": {"path": {"id": "PROJECT"}},
        "update_project": {"path": {"id": "PROJECT"}, "body": {}},
        "create_upload": {"path": {"id": "PROJECT"}, "body": {}},
        "put_upload": {"path": {"key": "UPLOAD"}},
        "build_project": {"path": {"id": "PROJECT"}, "body": {"key": "ARCHIVE"}},
        "warmup_project": {"path": {"project": "PROJECT"}, "body": {}},
        "call_project": {"path": {"project": "PROJECT", "route": ""}, "body": {"prompt": "a"}},
    },
    "fal-native": {
        "get_pricing": {"query": {"endpoint_id": FAL}},
        "estimate_pricing": {
            "body": {"estimate_type": "historical_api_price", "endpoints": {FAL: {"call_quantity": 1}}}
        },
        "get_analytics": {"query": {"endpoint_id": FAL}},
        "create_instance": {"body": {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": "a key"}},
        "get_instance": {"path": {"id": "abc123"}},
        "delete_instance": {"path": {"id": "abc123"}},
    },
    "fal-queue": {
        "submit": {"path": {"model_id": FAL}, "body": {"prompt": "a"}},
        "run": {"path": {"model_id": FAL}, "body": {"prompt": "a"}},
        "status": {"path": {"model_id": "fal-ai/flux", "request_id": COMPLETED}},
        "stream": {"path": {"model_id": "fal-ai/flux", "request_id": COMPLETED}},
        "result": {"path": {"model_id": "fal-ai/flux", "request_id": COMPLETED}},
        "cancel": {"path": {"model_id": "fal-ai/flux", "request_id": WAITING}},
        "initiate_upload": {"body": {"file_name": "cat.png", "content_type": "image/png"}},
        "put_media": {"path": {"path": "ANNOUNCED"}},
        "initiate_multipart_upload": {"body": {"file_name": "cat.png", "content_type": "image/png"}},
        "put_part": {"path": {"path": "ANNOUNCED", "upload_id": "UPLOAD_ID", "part_number": 1}},
        "complete_multipart_upload": {
            "path": {"path": "ANNOUNCED", "upload_id": "UPLOAD_ID"},
            "body": {"parts": [{"partNumber": 1, "etag": "ETAG"}]},
        },
        "get_media": {"path": {"path": f"b/{COMPLETED}_0.png"}},
    },
    "gobananas": {
        "create_image": {"body": {"prompt": "a"}},
        "get_image": {"path": {"id": 42}},
        "delete_image": {"path": {"id": 42}},
        "delete_images": {"body": {"ids": [42]}},
        "continue_image": {"body": {"prompt": "a"}},
        "upload_image": {"body": {"image_url": "IMAGE"}},
        "upload_for_editing": {"body": {"image_url": "IMAGE"}},
        "get_session": {"path": {"id": "session-abc"}},
        "create_character": {"body": {"character_name": "Bo", "base_prompt": "a banana in a hat"}},
        "get_character": {"path": {"id": 5}},
        "update_character": {"path": {"id": 5}, "body": {}},
        "delete_character": {"path": {"id": 5}},
        "create_style_preset": {"body": {"name": "watercolour", "prompt": "in watercolour"}},
        "delete_style_preset": {"path": {"id": 3}},
        "get_file": {"path": {"r2Key": "tenant/2025-01-15/image.png"}},
        "get_public_file": {"path": {"bucket": "BUCKET", "r2Key": "tenant/2025-01-15/image.png"}},
    },
    "paperbanana": {
        "create_diagram": {"body": {"source_context": "An encoder feeds a decoder.", "caption": "Our method"}},
        "create_diagram_from_pdf": {"body": {"pdf_base64": PDF, "caption": "Our method"}},
        "optimize_prompt": {"body": {"description": "a figure"}},
        "create_plot": {"body": {"data_json": "[1, 2]", "intent": "bars"}},
        "create_composite": {"body": {"source_task_ids": ["task_a", "task_b"]}},
        "get_task": {"path": {"task_id": "a1b2c3d4e5f6"}},
        "get_task_image": {"path": {"task_id": "a1b2c3d4e5f6"}},
        "create_key": {"body": {"name": "mine"}},
        "get_key": {"path": {"key": "pb_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"}},
        "update_key": {"path": {"key": "pb_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"}, "body": {}},
        "delete_key": {"path": {"key": "pb_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"}},
        "get_history": {"path": {"task_id": "a1b2c3d4e5f6"}},
    },
}


@dataclass(frozen=True)
class ContractRequest:
    """One request, by the names of the contract."""

    provider: str
    operation: str
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def valid_request(provider: str, name: str) -> ContractRequest:
    """Returns the shortest request of an operation that its mock accepts."""
    parts = copy.deepcopy(REQUESTS[provider].get(name, {}))
    headers = dict(HEADERS.get(provider, {}))
    if provider == "paperbanana" and operation(contract(provider), name).path.startswith("/api/admin"):
        headers = {"authorization": f"Bearer {PAPER_ADMIN}"}
    if name == "put_upload":
        headers["content-type"] = "application/gzip"
    query = {"api_token": TOKEN} if provider in ("bananadev", "falai") and name != "get_base" else {}
    query |= parts.get("query", {})
    return ContractRequest(provider, name, parts.get("path", {}), query, parts.get("body"), headers)


def with_value(request: ContractRequest, place: str, path: tuple[str, ...], value: Any) -> ContractRequest:
    """Returns the request with another value: at a path into its `body`, or of the parameter named by `place`."""
    if place == "body":
        return replace(request, body=_put(copy.deepcopy(request.body), path, value))
    where = next(parameter["in"] for parameter in operation(contract(request.provider), request.operation).parameters
                 if parameter["name"] == place)  # fmt: skip
    value = _put(None, path, value) if path else value
    if where == "query":
        return replace(request, query={**request.query, place: value})
    if where == "path":
        return replace(request, path={**request.path, place: value})
    return replace(request, headers={**request.headers, place: value})


def _put(into: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if head == "[]":
        first, *others = into if isinstance(into, list) and into else [None]
        return [_put(first, rest, value), *others]
    return {**(into if isinstance(into, dict) else {}), head: _put((into or {}).get(head), rest, value)}


class RequestSender:
    """One provider in process, with a world of the documents' data; `reset` starts it anew from the same seed."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.send = InProcess(provider)
        self.world = self.send.world
        self.worlds: Worlds = self.send.worlds
        self._announced = dict[str, str]()  # the upload that was announced last

    def reset(self) -> None:
        """Starts the world anew."""
        self.worlds.reset(self.world)
        self._announced = {}

    def __call__(self, request: ContractRequest) -> httpx2.Response:
        """Sends the request."""
        found, request = operation(contract(request.provider), request.operation), self.resolve(request)
        url = found.path.format(**request.path)
        json = {} if request.body is None else {"json": request.body}
        if request.operation in ("put_upload", "put_media", "upload_file", "put_part"):
            json = {"content": b"an archive"}
        return self.send(found.method.upper(), url, params=request.query, headers=request.headers, **json)

    def resolve(self, request: ContractRequest) -> ContractRequest:
        """Returns the request with ids and keys of this world in place of the words in capitals."""
        path = {name: self._literal(value) for name, value in request.path.items()}
        body = request.body
        if isinstance(body, dict):
            body = self._literal(body)
        return replace(request, path=path, body=body)

    def _literal(self, value: Any) -> Any:
        match value:
            case "PROJECT":
                return self(valid_request("banana-native", "list_projects")).json()["results"][0]["id"]
            case "UPLOAD":
                return self(valid_request("banana-native", "create_upload")).json()["key"]
            case "ARCHIVE":
                key = self._literal("UPLOAD")
                self(replace(valid_request("banana-native", "put_upload"), path={"key": key}))
                return key
            case "ANNOUNCED":
                url = self(valid_request("fal-queue", "initiate_multipart_upload")).json()["upload_url"]
                path, _, upload_id = url.partition("/media/files/")[2].partition("/multipart/")
                self._announced = {"path": path, "upload_id": upload_id}
                return path
            case "UPLOAD_ID" | "ETAG" if not self._announced:
                self._literal("ANNOUNCED")
                return self._literal(value)
            case "UPLOAD_ID":
                return self._announced["upload_id"]
            case "ETAG":
                part = {**self._announced, "part_number": 1}
                return self(replace(valid_request("fal-queue", "put_part"), path=part)).json()["etag"]
            case dict():
                return {name: self._literal(item) for name, item in value.items()}
            case list():
                return [self._literal(item) for item in value]
            case "BUCKET" | "IMAGE":
                url = self(valid_request("gobananas", "list_images")).json()["images"][-1]["url"]
                return url if value == "IMAGE" else url.partition("/r2/")[2].partition("/")[0]
            case _:
                return value


@cache
def sender_of(name: str) -> RequestSender:
    """The sender of a provider, created once."""
    return RequestSender(GoBananasProvider(FlatPainter()) if name == "gobananas" else build([name])[0])
