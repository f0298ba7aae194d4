"""A Potassium app that paints: it loads the model named by MODEL and answers / (run), /stream and /background."""

import contextlib
import json
import os
import resource
import sys
import traceback
import uuid
from collections.abc import Iterator

from potassium import Potassium, Request, Response

from bananastand import cancel, outbound
from bananastand.asgi.host_guard import HostGuard
from bananastand.diffusion import Busy, Engine, GenerationRequest, InvalidRequest
from bananastand.diffusion.answers import answer, events
from bananastand.diffusion.environment import options_from_environment
from bananastand.webhooks import WebhookQueue

app = Potassium("bananastand")
app.concurrency = 64  # requests that `bananastand serve` may hand over at once: the engine steps them together


@app.init
def init() -> dict:
    """Load the model onto the GPU if there is one. Potassium would spin for ever on an error, so end here."""
    try:
        webhooks = WebhookQueue(outbound.AddressPolicy.from_environment())
        engine = Engine.load(os.environ.get("MODEL") or "fruitstand", **options_from_environment())
        seconds = engine.warm_up()
    except Exception as error:
        print(f"cannot start: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr, flush=True)
        os._exit(1)
    sys.setswitchinterval(5e-3)  # Python's own again, after the start below
    print(f"{engine.card.name} is ready on {engine.device} (warm-up {seconds:.1f} s)", flush=True)
    return {"engine": engine, "webhooks": webhooks}


def failure(error: BaseException) -> tuple[int, dict]:
    """Status and body for an error: the caller's own in full, ours as an id whose traceback is in the log."""
    if isinstance(error, InvalidRequest):
        return 400, error.as_dict()
    if isinstance(error, Busy):
        return 503, error.as_dict()
    if isinstance(error, cancel.Cancelled):
        return 503, {"error": {"code": "cancelled", "message": str(error), "field": None}}
    error_id = uuid.uuid4().hex
    print(f"error {error_id}\n{''.join(traceback.format_exception(error))}", file=sys.stderr, flush=True)
    return 500, {"error": {"code": "internal", "message": f"painting failed; error id {error_id}", "field": None}}


def paint(engine: Engine, body: object) -> tuple[int, dict]:
    try:
        return 200, answer(engine, engine.paint(GenerationRequest.parse(body, engine.card)))
    except Exception as error:
        return failure(error)


@app.handler("/")
def run(context: dict, request: Request) -> Response:
    status, body = paint(context["engine"], request.json)
    return Response(status=status, json=body)


@app.handler("/stream")
def stream(context: dict, request: Request) -> Response:
    engine = context["engine"]
    try:
        wanted = GenerationRequest.parse(request.json, engine.card)
    except InvalidRequest as error:
        return Response(status=400, json=error.as_dict())

    def server_sent_events() -> Iterator[bytes]:
        try:  # Potassium would leave the caller hanging if this raised
            for name, data in events(engine, wanted):
                yield f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        except Exception as error:
            yield f"event: error\ndata: {json.dumps(failure(error)[1])}\n\n".encode()

    return Response(body=server_sent_events(), headers={"Content-Type": "text/event-stream"})


@app.background("/background")
def background(context: dict, request: Request) -> None:
    """Answered {"started": true} already; the result goes to webhook_url, best effort, else errors to the log."""
    body, url = request.json, None
    if isinstance(body, dict):
        body = dict(body)
        url = body.pop("webhook_url", None)
    if url is None or isinstance(url, str):
        status, result = paint(context["engine"], body)
    else:
        status, result = failure(InvalidRequest("wrong_type", "webhook_url must be text, a URL", "webhook_url"))
    if isinstance(url, str):
        # Potassium has one worker: waiting between tries must not hold up the next picture, unless many wait.
        context["webhooks"].send(url, json.dumps(result).encode(), failed=undelivered)
    else:
        said = "the picture has nowhere to go: no webhook_url" if status == 200 else json.dumps(result)
        print(f"background: {said}", file=sys.stderr, flush=True)


def undelivered(attempt: outbound.Attempt) -> None:
    """A receiver that took none of several tries is named in the log."""
    print(f"background: webhook not delivered: {attempt.error}", file=sys.stderr, flush=True)


def guard() -> None:
    """Refuse pages of other sites, as `bananastand serve` does. Behind the platform that is done already."""
    from flask import request

    allowed = os.environ.get("BANANASTAND_ALLOW_HOSTS", "").replace(",", " ").split()
    rules = HostGuard(allowed, local_names=True, server="server", option="BANANASTAND_ALLOW_HOSTS")

    def refuse() -> tuple[dict, int] | None:
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
        refusal = rules.refusal({"headers": headers, "path": request.path})
        return refusal and ({"error": {"code": "forbidden", "message": refusal, "field": None}}, 403)

    app._flask_app.before_request(refuse)


if __name__ == "__main__":
    sys.setswitchinterval(1e-4)  # Potassium spins while init() runs; this leaves init() the processor
    if "BANANASTAND_REPLICA" not in os.environ:
        guard()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):  # Potassium's server leaves four files open for each request
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    app.serve(host=os.environ.get("HOST") or "127.0.0.1", port=int(os.environ.get("PORT") or 8000))
