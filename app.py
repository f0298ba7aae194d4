"""A Potassium app that paints: it loads the model named by MODEL and serves / (run), /stream and /background."""

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
from bananastand.diffusion.environment import options_from_environment
from bananastand.diffusion.responses import response_body, response_events
from bananastand.webhooks import WebhookQueue

app = Potassium("bananastand")
app.concurrency = 64  # requests that `bananastand serve` may hand over at once: the engine steps them together


@app.init
def init() -> dict:
    """Load the model, onto the GPU if there is one. An error ends the process: Potassium would spin for ever."""
    try:
        webhooks = WebhookQueue(outbound.AddressPolicy.from_environment())
        engine = Engine.load(os.environ.get("MODEL") or "fruitstand", **options_from_environment())
        seconds = engine.warm_up()
    except Exception as error:
        print(f"cannot start: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr, flush=True)
        os._exit(1)
    sys.setswitchinterval(5e-3)  # Python's default again, after the short interval of the start
    print(f"{engine.model.name} is ready on {engine.device} (warm-up {seconds:.1f} s)", flush=True)
    return {"engine": engine, "webhooks": webhooks}


def error_response(error: BaseException) -> tuple[int, dict]:
    """Return status and body for an error: the caller's errors in full, ours as an id that is in the log."""
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
    """Paint what the body asks for; return status and body of the response."""
    try:
        return 200, response_body(engine, engine.paint(GenerationRequest.parse(body, engine.model)))
    except Exception as error:
        return error_response(error)


@app.handler("/")
def run(context: dict, request: Request) -> Response:
    """Paint and return the pictures."""
    status, body = paint(context["engine"], request.json)
    return Response(status=status, json=body)


@app.handler("/stream")
def stream(context: dict, request: Request) -> Response:
    """Paint and send an event for each step."""
    engine = context["engine"]
    try:
        generation = GenerationRequest.parse(request.json, engine.model)
    except InvalidRequest as error:
        return Response(status=400, json=error.as_dict())

    def server_sent_events() -> Iterator[bytes]:
        try:  # Potassium would leave the caller hanging if this raised
            for name, data in response_events(engine, generation):
                yield f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
        except Exception as error:
            yield f"event: error\ndata: {json.dumps(error_response(error)[1])}\n\n".encode()

    return Response(body=server_sent_events(), headers={"Content-Type": "text/event-stream"})


@app.background("/background")
def background(context: dict, request: Request) -> None:
    """Paint and post the result to webhook_url; Potassium has already returned {"started": true}."""
    body, url = request.json, None
    if isinstance(body, dict):
        body = dict(body)
        url = body.pop("webhook_url", None)
    if url is None or isinstance(url, str):
        status, result = paint(context["engine"], body)
    else:
        status, result = error_response(InvalidRequest("wrong_type", "webhook_url must be text, a URL", "webhook_url"))
    if isinstance(url, str):
        # Potassium has one worker: waiting between tries must not delay the next picture, unless many wait.
        context["webhooks"].send(url, json.dumps(result).encode(), failed=log_undelivered)
    else:
        line = "the picture has nowhere to go: no webhook_url" if status == 200 else json.dumps(result)
        print(f"background: {line}", file=sys.stderr, flush=True)


def log_undelivered(attempt: outbound.Attempt) -> None:
    """Log a webhook whose tries all failed."""
    print(f"background: webhook not delivered: {attempt.error}", file=sys.stderr, flush=True)


def refuse_foreign_pages() -> None:
    """Refuse pages of other sites, as `bananastand serve` does; the platform has checked its calls already."""
    from flask import request

    allowed = os.environ.get("BANANASTAND_ALLOW_HOSTS", "").replace(",", " ").split()
    rules = HostGuard(allowed, local_names=True, server="server", option="BANANASTAND_ALLOW_HOSTS")

    def refuse_foreign_page() -> tuple[dict, int] | None:
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
        refusal = rules.refusal({"headers": headers, "path": request.path})
        return refusal and ({"error": {"code": "forbidden", "message": refusal, "field": None}}, 403)

    app._flask_app.before_request(refuse_foreign_page)


if __name__ == "__main__":
    sys.setswitchinterval(1e-4)  # Potassium spins while init() runs; this leaves init() the processor
    if "BANANASTAND_REPLICA" not in os.environ:
        refuse_foreign_pages()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):  # Potassium's server leaves four files open for each request
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    app.serve(host=os.environ.get("HOST") or "127.0.0.1", port=int(os.environ.get("PORT") or 8000))
