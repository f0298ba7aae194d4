"""Apps as they were written for each generation of Potassium, and the requests that show each of its features.

Each app is one file for the versions named; what a version answers on its own server is the witness.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["APPS", "DIFFERENCES", "VERSIONS", "Probe", "PotassiumVersion", "probes"]

CACHE = """
from potassium import Potassium

app = Potassium("cache")


@app.init
def init():
    model = {"scale": 3}
    app.optimize(model)
    app.set_cache({"model": model})


@app.handler
def handler(cache, json_in):
    if json_in.get("fail"):
        raise ValueError("no such banana")
    return {"z": json_in.get("n", 0) * cache["model"]["scale"], "a": "é", "cached": sorted(app.get_cache())}


app.serve()
"""

WEBHOOK_CACHE = """
import os

from potassium import Potassium

app = Potassium("cache")


@app.init
def init():
    app.set_cache({"model": {"scale": 3}})


@app.handler
@app.result_webhook(url=os.environ["WEBHOOK"])
def handler(cache, json_in):
    return {"z": json_in.get("n", 0) * cache["model"]["scale"], "a": "é"}


app.serve()
"""

CONTEXT = """
import os
import time

from potassium import Potassium, Request, Response

app = Potassium("context")
done = []


@app.init
def init():
    app.set_context({"unused": True})
    return {"scale": 3}


@app.handler("/")
def handler(context, request: Request):
    if request.json.get("fail"):
        raise ValueError("no such banana")
    return Response(status=200, json={"z": request.json.get("n", 0) * context["scale"], "a": "é"})


@app.handler("/second/route")
def second(context, request: Request):
    return Response(status=200, json={"second": sorted(context)})


@app.handler("/status")
def status(context, request: Request):
    return Response(status=418, json={"teapot": True})


@app.handler("/done")
def listed(context, request: Request):
    return Response(status=200, json={"done": done})


@app.async_handler("/job"%s)
def job(context, request: Request):
    time.sleep(0.1)
    %s
    done.append(request.json["name"])
    return Response(status=200, json={"name": request.json["name"]})


app.serve()
"""

GPU = """
import os
import time

from potassium import Potassium, Request, Response, send_webhook

app = Potassium("gpu")
done = []


@app.init
def init():
    return {"scale": 3}


@app.handler(gpu=True)
def handler(context, request: Request):
    if request.json.get("fail"):
        raise ValueError("no such banana")
    return Response(json={"z": request.json.get("n", 0) * context["scale"], "a": "é"})


@app.handler("/second/route", gpu=False)
def second(context, request: Request):
    return Response(status=200, json={"second": context is None})


@app.handler("/status", gpu=False)
def status(context, request: Request):
    return Response(status=418, json={"teapot": True})


@app.handler("/done", gpu=False)
def listed(context, request: Request):
    return Response(status=200, json={"done": done})


@app.background("/job", gpu=False)
def job(context, request: Request):
    time.sleep(0.1)
    send_webhook(url=os.environ["WEBHOOK"], json={"name": request.json["name"]})
    done.append(request.json["name"])


app.serve()
"""

PLAIN = """
import os
import time

from potassium import Potassium, Request, Response, send_webhook

app = Potassium("plain")
done = []


@app.init
def init():
    context = {"scale": 3}
    return context


@app.handler()
def handler(context: dict, request: Request) -> Response:
    if request.json.get("fail"):
        raise ValueError("no such banana")
    return Response(json={"z": request.json.get("n", 0) * context["scale"], "a": "é"}, status=200)


@app.handler("/second/route")
def second(context: dict, request: Request) -> Response:
    return Response(json={"second": sorted(context)})


@app.handler("/status")
def status(context: dict, request: Request) -> Response:
    return Response(json={"teapot": True}, status=418)


@app.handler("/wrong")
def wrong(context: dict, request: Request) -> Response:
    return {"not": "a Response"}


@app.handler("/done")
def listed(context: dict, request: Request) -> Response:
    return Response(json={"done": done})


@app.background("/job")
def job(context: dict, request: Request) -> Response:
    time.sleep(0.1)
    send_webhook(url=os.environ["WEBHOOK"], json={"name": request.json["name"]})
    done.append(request.json["name"])
    return


%s
app.serve()
"""

SLASHLESS = """
@app.handler("slashless")
def slashless(context: dict, request: Request) -> Response:
    return Response(json={"slashless": True})
"""

BODIES = """
@app.handler("/headers")
def headers(context: dict, request: Request) -> Response:
    return Response(json={"n": 1}, headers={"X-Banana": "ripe", "X-Two": "2"})


@app.handler("/octets")
def octets(context: dict, request: Request) -> Response:
    return Response(status=202, body=b"\\x00\\xff\\x01", headers={"Content-Type": "application/octet-stream"})


@app.handler("/typeless")
def typeless(context: dict, request: Request) -> Response:
    return Response(body=b"plain")


@app.handler("/stream")
def stream(context: dict, request: Request) -> Response:
    def pieces():
        for at in range(3):
            yield b"piece %d " % at

    return Response(body=pieces(), headers={"Content-Type": "text/plain"})
"""

REQUESTS = """
@app.handler("/request")
def about(context: dict, request: Request) -> Response:
    named = {"id": request.id, "one": request.headers.get("X-One"), "none": request.headers.get("X-None", "default")}
    return Response(json={**named, "item": request.headers["x-one"]}, headers={"X-One": request.headers["x-one"]})
"""

NO_CONTEXT = """
from potassium import Potassium, Request, Response

app = Potassium("none")


@app.init
def init():
    pass


@app.handler("/")
def handler(context, request: Request):
    return Response(status=200, json={"context": context})


app.serve()
"""


@dataclass(frozen=True)
class PotassiumVersion:
    """A published version: its date, the Python of its users, and the generation of its apps."""

    name: str
    published: str
    python: str
    app: str


@dataclass(frozen=True)
class Probe:
    """A request that shows a feature; `compare` names headers, `until` a text the response has to hold."""

    feature: str
    path: str = "/"
    body: bytes = b"{}"
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    compare: tuple[str, ...] = ()
    until: str | None = None


def _context(argument: str, line: str) -> str:
    return CONTEXT % (argument, line)


APPS = {
    "cache": CACHE,
    "result webhook": WEBHOOK_CACHE,
    "context": _context(', result_webhook=os.environ["WEBHOOK"]', "pass"),
    "hooks": _context("", 'send_webhook(url=os.environ["WEBHOOK"], json={"name": request.json["name"]})').replace(
        "Request, Response\n", "Request, Response, send_webhook\n", 1
    ),
    "gpu": GPU,
    "plain": PLAIN % "",
    "routes": PLAIN % SLASHLESS,
    "bodies": PLAIN % (SLASHLESS + BODIES),
    "requests": PLAIN % (SLASHLESS + BODIES + REQUESTS),
    "none": NO_CONTEXT,
}
VERSIONS = (
    PotassiumVersion("0.0.3", "2023-03-02", "3.8", "cache"),
    PotassiumVersion("0.0.4", "2023-03-15", "3.8", "result webhook"),
    PotassiumVersion("0.0.5", "2023-03-23", "3.8", "context"),
    PotassiumVersion("0.0.6", "2023-03-24", "3.8", "context"),
    PotassiumVersion("0.0.7", "2023-03-24", "3.8", "hooks"),
    PotassiumVersion("0.0.8", "2023-03-26", "3.9", "hooks"),
    PotassiumVersion("0.0.9", "2023-05-25", "3.9", "gpu"),
    PotassiumVersion("0.0.10", "2023-06-21", "3.9", "gpu"),
    PotassiumVersion("0.1.0", "2023-06-23", "3.10", "plain"),
    PotassiumVersion("0.1.1", "2023-06-29", "3.10", "plain"),
    PotassiumVersion("0.1.2", "2023-07-24", "3.10", "plain"),
    PotassiumVersion("0.2.0", "2023-10-12", "3.10", "routes"),
    PotassiumVersion("0.2.1", "2023-10-18", "3.10", "routes"),
    PotassiumVersion("0.3.0", "2023-10-19", "3.10", "routes"),
    PotassiumVersion("0.3.1", "2023-10-23", "3.10", "routes"),
    PotassiumVersion("0.3.2", "2023-10-25", "3.10", "routes"),
    PotassiumVersion("0.4.0", "2023-11-07", "3.11", "bodies"),
    PotassiumVersion("0.4.1", "2023-11-28", "3.11", "requests"),
    PotassiumVersion("0.5.0", "2023-12-12", "3.11", "requests"),
)
ONE_HANDLER = ("cache", "result webhook")


def probes(version: PotassiumVersion) -> list[Probe]:
    """Return the requests that show what an app of this version can do, in order."""
    kind, text = version.app, {"Content-Type": "text/plain"}
    found = [
        Probe("handler", body=b'{"n": 7}'),
        Probe("handler twice", body=b'{"n": 8}'),
        Probe("unknown route", "/nothing"),
        Probe("GET", method="GET", body=b"", headers={}),
        Probe("PUT", method="PUT"),
        Probe("bad JSON", body=b'{"n": '),
        Probe("no body", body=b""),
        Probe("text/plain", body=b'{"n": 7}', headers=text),
        Probe("not an object", body=b"[1]"),
    ]
    if kind != "result webhook":
        found.append(Probe("handler raises", body=b'{"fail": true}'))
        found.append(Probe("after an error", body=b'{"n": 9}'))
    if kind not in ONE_HANDLER:
        found += [
            Probe("several routes", "/second/route"),
            Probe("status code", "/status"),
            Probe("background", "/job", b'{"name": "first"}'),
            Probe("background done", "/done", until="first"),
        ]
    if kind in ("plain", "routes", "bodies", "requests"):
        found.append(Probe("wrong return", "/wrong"))
    if kind in ("routes", "bodies", "requests"):
        found += [Probe("route without slash", "/slashless"), Probe("status", "/__status__", b"", "GET", {})]
    if version.name >= "0.3.0":
        found += [Probe("warm-up", "/_k/warmup"), Probe("_k/status", "/_k/status", b"", "GET", {})]
    if kind in ("bodies", "requests"):
        found += [
            Probe("response headers", "/headers", compare=("x-banana", "x-two")),
            Probe("octets", "/octets"),
            Probe("typeless body", "/typeless"),
            Probe("stream", "/stream"),
        ]
    if kind == "requests":
        named = {"Content-Type": "application/json", "X-One": "1", "X-Banana-Request-Id": "a-b-c"}
        found.append(Probe("request headers", "/request", headers=named, compare=("x-one",)))
    return found


ERROR = "an error object; the traceback stays in the log, where a caller does not see it"
REFUSED = "an error object that says why, where upstream answers nothing or a page"
NO_ROUTE = "Potassium's 404 or 405 page for every version, where Sanic has texts of its own"
NUMBERS = "the numbers are times"
# feature -> (what our side answers, why it may differ). Our side must answer exactly this wherever it differs.
DIFFERENCES: dict[str, tuple[int, str, str]] = {
    "handler raises": (500, '"code": "internal"', ERROR),
    "wrong return": (500, '"code": "internal"', ERROR),
    "bad JSON": (400, '"code": "invalid_json"', REFUSED),
    "no body": (400, '"code": "invalid_json"', REFUSED),
    "text/plain": (400, '"code": "invalid_content_type"', REFUSED),
    "not an object": (500, '"code": "internal"', ERROR),
    "unknown route": (404, "404 Not Found", NO_ROUTE),
    "GET": (405, "405 Method Not Allowed", NO_ROUTE),
    "PUT": (405, "405 Method Not Allowed", NO_ROUTE),
    "status": (200, "gpu_available", NUMBERS),
    "_k/status": (200, "gpu_available", NUMBERS),
}
