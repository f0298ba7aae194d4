"""A valid request for every operation of every contract, as short as it can be, and how to make it in process.

Ids are those of the documents world. What no literal can name (a project's id, an upload's key) is made.
"""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import httpx2

from bananastand_mocks.gobananas import GoBananasProvider
from bananastand_mocks.kernel.provider import Provider
from bananastand_mocks.kernel.worlds import Worlds
from bananastand_mocks.providers import build
from contracts import contract, operation
from flat import Flat
from in_process import InProcess
from paper_pdf import paper

__all__ = ["Asked", "Stall", "placed", "stall", "valid"]

TOKEN = "at_r0123456789abcdef0123456789abcdef"
BANANA_KEY = "11111111-1111-1111-1111-111111111111"
PAPER_KEY, PAPER_ADMIN = "pb_" + "0" * 32, "admin-bananastand"
HEADERS = {
    "banana-native": {"x-banana-api-key": BANANA_KEY},
    "fal-native": {"authorization": "Key fal-bananastand"},
    "gobananas": {"x-api-key": "sk_live_bananastand"},
    "paperbanana": {"authorization": f"Bearer {PAPER_KEY}"},
}
RUN = {"modelKey": "value", "modelInputs": {"prompt": "a", "width": 64, "height": 64}}
PDF = base64.b64encode(paper(("One page.",))).decode()
FAL = "fal-ai/flux/dev"
WANTED: dict[str, dict[str, dict[str, Any]]] = {
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
class Asked:
    """One request, by the names of the contract."""

    provider: str
    operation: str
    path: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def valid(provider: str, name: str) -> Asked:
    """The shortest request of an operation that is taken."""
    wanted = copy.deepcopy(WANTED[provider].get(name, {}))
    headers = dict(HEADERS.get(provider, {}))
    if provider == "paperbanana" and operation(contract(provider), name).path.startswith("/api/admin"):
        headers = {"authorization": f"Bearer {PAPER_ADMIN}"}
    if name == "put_upload":
        headers["content-type"] = "application/gzip"
    query = {"api_token": TOKEN} if provider in ("bananadev", "falai") and name != "get_base" else {}
    return Asked(provider, name, wanted.get("path", {}), query | wanted.get("query", {}), wanted.get("body"), headers)


def placed(asked: Asked, place: str, path: tuple[str, ...], value: Any) -> Asked:
    """The request with a value at a place: `body` and a path into it, or the name of a parameter."""
    if place == "body":
        return replace(asked, body=_put(copy.deepcopy(asked.body), path, value))
    where = next(each["in"] for each in operation(contract(asked.provider), asked.operation).parameters
                 if each["name"] == place)  # fmt: skip
    value = _put(None, path, value) if path else value
    if where == "query":
        return replace(asked, query={**asked.query, place: value})
    if where == "path":
        return replace(asked, path={**asked.path, place: value})
    return replace(asked, headers={**asked.headers, place: value})


def _put(into: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if head == "[]":
        first, *others = into if isinstance(into, list) and into else [None]
        return [_put(first, rest, value), *others]
    return {**(into if isinstance(into, dict) else {}), head: _put((into or {}).get(head), rest, value)}


class Stall:
    """One provider in process; each request comes to a world that begins anew, from the same seed."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.send = InProcess(provider)
        self.world = self.send.world
        self.worlds: Worlds = self.send.worlds

    def begin(self) -> None:
        """A fresh world."""
        self.worlds.reset(self.world)

    def __call__(self, asked: Asked) -> httpx2.Response:
        """Make the request."""
        found, asked = operation(contract(asked.provider), asked.operation), self.resolved(asked)
        url = found.path.format(**asked.path)
        json = {} if asked.body is None else {"json": asked.body}
        if asked.operation == "put_upload":
            json = {"content": b"an archive"}
        return self.send(found.method.upper(), url, params=asked.query, headers=asked.headers, **json)

    def resolved(self, asked: Asked) -> Asked:
        """The request with what no literal can name, made in this world."""
        path = {name: self._literal(value) for name, value in asked.path.items()}
        body = asked.body
        if isinstance(body, dict):
            body = {name: self._literal(value) for name, value in body.items()}
        return replace(asked, path=path, body=body)

    def _literal(self, value: Any) -> Any:
        match value:
            case "PROJECT":
                return next(iter(self.world.table("bananadev.models").values()))["id"]
            case "UPLOAD":
                asked = Asked("banana-native", "create_upload", {"id": "PROJECT"}, {}, {}, HEADERS["banana-native"])
                return self(asked).json()["key"]
            case "ARCHIVE":
                key = self._literal("UPLOAD")
                self(replace(valid("banana-native", "put_upload"), path={"key": key}))
                return key
            case "BUCKET" | "IMAGE":
                shown = self(valid("gobananas", "list_images")).json()["images"][-1]["url"]
                return shown if value == "IMAGE" else shown.partition("/r2/")[2].partition("/")[0]
            case _:
                return value


@cache
def stall(name: str) -> Stall:
    """The stall of a provider, made once."""
    return Stall(GoBananasProvider(Flat()) if name == "gobananas" else build([name])[0])
