"""A stranger's Potassium app with every kind of handler, for the tests of the host. Runs as a file, on both servers."""

import gc
import itertools
import os
import threading
import time

from potassium import Potassium, Request, Response

from bananastand import cancel

web = Potassium("stranger")  # not called app


@web.init
def init() -> dict:
    if os.environ.get("INIT_FAILS"):
        raise RuntimeError("no model here")
    time.sleep(float(os.environ.get("INIT_SECONDS", "0")))
    return {"thread": threading.get_ident(), "seen": []}


@web.handler("/")
def echo(context: dict, request: Request) -> Response:
    if os.environ.get("EXECUTED"):
        with open(os.environ["EXECUTED"], "a") as file:
            file.write(f"{request.id} {time.time()}\n")
        time.sleep(request.json.get("seconds", 0))
    return Response(json={"got": request.json, "id": request.id, "header": request.headers.get("x-some")})


@web.handler("plain")
def plain(context: dict, request: Request) -> Response:
    return Response(status=201, body=b"as it is", headers={"X-Own": "yes"})


@web.handler("/garbage")
def garbage(context: dict, request: Request) -> Response:
    """What the collector alone could free, since it was asked before."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    found = sorted({type(value).__name__ for value in gc.garbage})
    gc.set_debug(0)
    gc.garbage.clear()
    gc.collect()
    gc.disable()
    return Response(json=found)


@web.handler("/fails")
def fails(context: dict, request: Request) -> Response:
    raise ValueError("a secret of the server")


@web.handler("/echoes-headers")
def echoes_headers(context: dict, request: Request) -> Response:
    """Two headers of the request, back with the answer."""
    names = ("X-First", "X-Second")
    return Response(json={"hello": "headers"}, headers={name: request.headers[name] for name in names})


@web.handler("/locked")
def locked(context: dict, request: Request) -> Response:
    """What Potassium's own server says when it is busy, and the handler says here itself."""
    context["locks"] = context.get("locks", 0) + 1
    return Response(status=423, body=b"", headers={"X-Endpoint-Type": "handler"})


@web.handler("/locks")
def locks(context: dict, request: Request) -> Response:
    return Response(json=context["locks"])


@web.handler("/no-response")
def no_response(context: dict, request: Request) -> Response:
    return {"not": "a Response"}  # type: ignore[return-value]


@web.handler("/odd-header")
def odd_header(context: dict, request: Request) -> Response:
    return Response(json={}, headers={"X-Odd": "a\r\nSet-Cookie: b"})


@web.handler("/stream")
def stream(context: dict, request: Request) -> Response:
    options = request.json

    def chunks():
        for i in range(options.get("chunks", 3)):
            yield f"data: {i}\n\n".encode()
            time.sleep(options.get("pause", 0))
        if options.get("fails"):
            raise ValueError("in the middle")

    return Response(body=chunks(), headers={"Content-Type": options.get("type", "text/event-stream")})


@web.handler("/sleep")
def sleep(context: dict, request: Request) -> Response:
    token, until = cancel.current(), time.monotonic() + request.json["seconds"]
    try:
        while time.monotonic() < until:
            time.sleep(0.01)
            if token is not None:
                token.check()
    except cancel.Cancelled as reason:
        context["seen"].append(str(reason))
        raise
    return Response(json={"slept": request.json["seconds"]})


@web.handler("/holds")
def holds(context: dict, request: Request) -> Response:
    """One call of C that lets no other thread run: for ever, or so many millions of turns."""
    millions = request.json.get("millions")
    sum(itertools.repeat(1) if millions is None else itertools.repeat(1, millions * 10**6))
    return Response(json={"pid": os.getpid()})


@web.handler("/seen")
def seen(context: dict, request: Request) -> Response:
    return Response(json={"seen": context["seen"], "same_thread": context["thread"] == threading.get_ident()})


@web.background("/background")
def background(context: dict, request: Request) -> None:
    time.sleep(request.json.get("seconds", 0))
    if request.json.get("fails"):
        raise ValueError("in the background")
    context["seen"].append(request.json.get("name"))


if __name__ == "__main__":
    web.serve(host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
