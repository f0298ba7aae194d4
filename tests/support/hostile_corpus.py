"""Sends hostile calls to Go Bananas! and PaperBanana, and prints the measurements of each as a line of JSON.

tests/mocks/test_hostile.py runs it in a process of its own, so that memory can be measured call by call. Linux only.
With the argument n it sends every nth call.
"""

from __future__ import annotations

import base64
import ctypes
import gc
import io
import json
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from PIL import Image

from bananastand_mocks.gobananas import GoBananasProvider
from bananastand_mocks.paperbanana import PaperBananaProvider
from in_process import InProcess

KEY = {"authorization": "Bearer pb_" + "0" * 32}
GO = {"X-API-Key": "sk_live_bananastand"}
JSON = {**KEY, "content-type": "application/json"}
SIZE_8K, SIZE_4K = (7680, 4320), (3840, 2160)
libc = ctypes.CDLL(None)


class Item(NamedTuple):
    """A call that is to be measured; a body is made by a function, before the measuring begins."""

    name: str
    method: str
    path: str
    request: Callable[[], dict[str, Any]]


def sent(body: dict[str, Any], key: dict[str, str]) -> dict[str, Any]:
    return {"content": json.dumps(body).encode(), "headers": {**key, "content-type": "application/json"}}


def task(name: str, path: str, **body: Any) -> Item:
    return Item(name, "POST", f"/api/{path}", lambda: sent(body, KEY))


def raw(name: str, path: str, content: bytes) -> Item:
    return Item(name, "POST", f"/api/{path}", lambda: {"content": content, "headers": JSON})


TEXTS = {
    "spaces": " " * 1_000_000,
    "tabs and a letter": "\t" * 24_000 + "a",
    "one word": "a" * 1_000_000,
    "brackets": "(" * 100_000,
    "articles": "- a\n" * 6_000,
    "arrows": "->" * 12_000,
    "prepositions": "of " * 8_000,
    "a hatching": "Encoder A is fed into decoder B, which is fed into index C and model D, " * 400,
    "marks": "\u0301" * 20_000 + "\u202e" * 1_000,
    "ten million": "The encoder feeds the decoder. " * 330_000,
}
PAPERS: list[Item] = [
    *(task(f"context: {name}", "generate", source_context=text, caption="a") for name, text in TEXTS.items()),
    *(task(f"caption: {name}", "generate", source_context="A reader reads.", caption=text)
      for name, text in TEXTS.items()),
    *(task(f"prompt: {name}", "optimize-prompt", description=text, caption=text, guidelines=text, source_context=text)
      for name, text in TEXTS.items()),
    *(task(f"intent: {name}", "plot", data_json="[1, 2, 3]", intent=text) for name, text in TEXTS.items()),
    *(task(f"names: {name}", "plot", data_json=json.dumps({"a": [text, f"{text}1"], text: [3, 4]}), intent="bars")
      for name, text in TEXTS.items()),
    task("a million numbers", "plot", data_json=json.dumps([1.5] * 1_000_000), intent="line"),
    task("a wide table", "plot", data_json=json.dumps({str(i): [i, i] for i in range(20_000)}), intent="bar"),
    task("a deep value", "plot", data_json="[" * 900_000, intent="bar"),
    task("a long number", "plot", data_json="9" * 900_000, intent="bar"),
    task("zeros", "plot", data_json="[0." + "0" * 900_000 + "1]", intent="bar"),
    raw("deep JSON", "plot", b'{"data_json":' + b"[" * 1_000_000 + b'"'),
    raw("many keys", "plot", b"{" + b",".join(b'"%d":0' % i for i in range(1_000_000)) + b"}"),
    raw("no JSON", "generate", b"\xff" * 10_000_000),
    Item("a PDF that is none", "POST", "/api/generate-from-pdf", lambda: sent(
        {"pdf_base64": base64.b64encode(b"%PDF-1.4\n" + b"obj" * 6_000_000).decode(), "caption": "a"}, KEY)),
    Item("base64 that is none", "POST", "/api/generate-from-pdf", lambda: sent(
        {"pdf_base64": "A=" * 15_000_000, "caption": "a"}, KEY)),
    Item("a long path", "GET", "/api/tasks/" + "%2e%2e%2f" * 5_000, lambda: {"headers": KEY}),
    Item("a long key", "GET", "/api/tasks/a", lambda: {"headers": {"authorization": "Bearer " + "a" * 60_000}}),
]  # fmt: skip


def form(head: bytes, boundary: str = "a") -> dict[str, Any]:
    content = b"--" + boundary.encode() + b"\r\n" + head
    return {"content": content, "headers": {**GO, "content-type": f"multipart/form-data; boundary={boundary}"}}


def picture(kind: str, mode: str = "RGB", size: tuple[int, int] = SIZE_8K, **options: Any) -> dict[str, Any]:
    tile, content = Image.new("L", (256, 256)), io.BytesIO()
    tile.putdata([(x * y) % 251 for y in range(256) for x in range(256)])
    image = tile.resize(size).convert("RGB") if mode in ("P", "CMYK") else tile.resize(size)
    image = image.convert(mode) if mode != "I;16" else Image.new("I;16", size, 4711)
    image.save(content, kind, **options)
    head = b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return form(head + content.getvalue() + b"\r\n--mark--", "mark")


def upload(name: str, kind: str, mode: str = "RGB", size: tuple[int, int] = SIZE_8K, **options: Any) -> Item:
    return Item(f"upload: {name}", "POST", "/api/images/upload", lambda: picture(kind, mode, size, **options))


PICTURES: list[Item] = [
    *(upload(f"8K PNG in {mode}", "PNG", mode, compress_level=1)
      for mode in ("RGB", "RGBA", "LA", "L", "P", "1", "I;16")),
    upload("8K JPEG", "JPEG", quality=60),
    upload("8K JPEG in CMYK", "JPEG", "CMYK", quality=60),
    upload("8K JPEG, progressive", "JPEG", quality=60, progressive=True),
    upload("4K JPEG, progressive", "JPEG", size=SIZE_4K, quality=60, progressive=True),
    upload("4K WebP", "WEBP", size=SIZE_4K, quality=10, method=0),
    upload("WebP of more", "WEBP", size=(4097, 2305), quality=10, method=0),
    upload("slim PNG", "PNG", "L", (16_384, 9), compress_level=1),
    upload("longer PNG", "PNG", "1", (16_385, 9), compress_level=1),
    Item("form: heads without names", "POST", "/api/images/upload", lambda: form(b"form-data;" * 2_000_000)),
    Item("form: five million parts", "POST", "/api/images/upload", lambda: form(b"\r\n--a" * 4_000_000)),
    Item("form: no end of quotes", "POST", "/api/images/upload", lambda: form(b'name="' * 3_000_000 + b"\r\n\r\n")),
    Item("a data URL of nothing", "POST", "/api/images/upload", lambda: sent(
        {"image_url": "data:image/png;base64," + "A" * 25_000_000}, GO)),
    Item("a long search", "GET", "/api/images?search=" + "%25_" * 10_000, lambda: {"headers": GO}),
    Item("a long prompt", "POST", "/api/images", lambda: sent({"prompt": "a " * 1_000_000}, GO)),
    Item("a hostile key", "GET", "/images/" + "..%2f" * 10_000, lambda: {"headers": GO}),
]  # fmt: skip


def memory(field: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return 1024 * int(re.findall(rf"{field}:\s+(\d+)", file.read())[0])


def spent() -> float:
    """Seconds of the processor's time, those of ended children too."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measured(send: InProcess, method: str, path: str, request: dict[str, Any]) -> tuple[Any, float, float]:
    """The answer, seconds and megabytes."""
    gc.collect()
    libc.malloc_trim(0)
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    before, began = memory("VmRSS"), spent()
    answer = send(method, path, **request)
    return answer, spent() - began, (memory("VmHWM") - before) / 2**20


def calls(send: InProcess, item: Item) -> Iterator[tuple[str, Any, float, float]]:
    """The item's call, and what follows from one that succeeds: its task, or its thumbnail and an edit."""
    answer, *cost = measured(send, item.method, item.path, item.request())
    yield item.name, answer, *cost
    if answer.status_code == 202:
        name = f"/api/tasks/{answer.json()['task_id']}"
        yield f"{item.name}, drawn", *measured(send, "GET", name, {"headers": KEY})
    elif answer.status_code == 200 and item.name.startswith("upload"):
        thumbnail = answer.json()["thumbnail_url"].removeprefix("http://mock")
        yield f"{item.name}, thumbnail", *measured(send, "GET", thumbnail, {})
        options = {"json": {"prompt": "at night"}, "headers": GO}
        yield f"{item.name}, edited", *measured(send, "POST", "/api/images/continue", options)


def main() -> None:
    paper, images = InProcess(PaperBananaProvider(), kind="documents"), InProcess(GoBananasProvider(), kind="documents")
    paper("GET", "/api/tasks/task_a", headers=KEY)  # what draws is loaded
    paper("POST", "/api/generate", headers=KEY, json={"source_context": "A reader reads.", "caption": "a"})
    images("POST", "/api/images", headers=GO, json={"prompt": "a"})
    images.world.limits.set("gobananas", 10_000, 60)
    for send, items in ((paper, PAPERS), (images, PICTURES)):
        for item in items[:: int(sys.argv[1])]:
            for name, answer, seconds, megabytes in calls(send, item):
                body = answer.json() if "json" in answer.headers["content-type"] else {}
                error = body.get("detail") or body.get("error") or ""
                line = {"name": name, "status": answer.status_code, "error": error[:120], "task": body.get("status"),
                        "seconds": round(seconds, 2), "megabytes": round(megabytes)}  # fmt: skip
                sys.stdout.write(f"{json.dumps(line)}\n")


if __name__ == "__main__":
    main()
