"""The FastAPI application of the control plane.

It is not for browsers of other sites (see `guard`) and sends no CORS headers. A refusal is {"detail": text}, and the
text names the field. All but the clock runs on the event loop, as the calls to providers do, so that no call sees a
world half changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Match

from ..provider import Provider
from ..reference import reference_page
from ..worlds import Worlds
from .answers import Health
from .behaviour import add_behaviour_routes
from .calls import add_call_routes
from .context import ControlContext
from .guard import PAGES, ControlGuard
from .pages import add_page_routes, html
from .reference import control_reference
from .refusals import REFUSALS, REFUSALS_AS_JSON
from .views import index_page
from .worlds import add_world_routes
from .wrong_fields import name_wrong_fields

__all__ = ["control_plane"]


def control_plane(providers: Sequence[Provider], worlds: Worlds, *, hosts: Iterable[str] = ()) -> FastAPI:
    """Build the API, with all routes below /_stand.

    Args:
        providers: The providers that are served.
        worlds: Their worlds.
        hosts: Names of this machine, beside localhost, by which it may be called.
    """
    app = FastAPI(
        title="Bananastand control plane",
        openapi_url="/_stand/openapi.json",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        description="Worlds, clocks, faults, rate limits, stubs, journal and coverage of the mocks, for tests.",
        version="1",
        dependencies=[Depends(_refuse_unknown_parameters)],
        responses=REFUSALS,
        exception_handlers={RequestValidationError: _refuse_wrong_fields, 405: _refuse_method},
    )
    app.add_middleware(ControlGuard, hosts=tuple(hosts), budget=worlds.bodies)
    context = ControlContext(providers, worlds)
    app.add_exception_handler(404, partial(_refuse_missing, context))
    _add_reference(app, providers)
    add_page_routes(app, context)
    add_world_routes(app, context)
    add_behaviour_routes(app, context)
    add_call_routes(app, context)
    return app


def _add_reference(app: FastAPI, providers: Sequence[Provider]) -> None:
    @app.get("/_stand/", include_in_schema=False)
    @app.get("/_stand", include_in_schema=False)
    async def reference() -> HTMLResponse:
        return html(control_reference(app.openapi()))

    @app.get("/_stand/contracts/{provider}", response_class=HTMLResponse, responses=REFUSALS_AS_JSON)
    async def contract_page(provider: str) -> bytes:
        """A provider's contract as a page."""
        for served in providers:
            if served.name == provider:
                return reference_page(served, served.mount)
        raise HTTPException(404, f"there is no provider {provider}")

    @app.get("/_stand/health", response_model=Health)
    async def health() -> dict[str, str]:
        """Answers when the server does."""
        return {"status": "ok"}


def _refuse_unknown_parameters(request: Request) -> None:
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    if unknown := sorted(request.query_params.keys() - known):
        raise HTTPException(422, f"no parameter {', '.join(unknown)}; there are {', '.join(sorted(known)) or 'none'}")


async def _refuse_missing(context: ControlContext, request: Request, error: Exception) -> Response:
    """Answer 404: on the pages with the overview, which leads on."""
    detail = str(error.detail) if isinstance(error, HTTPException) else "Not Found"
    if request.url.path.startswith(PAGES):
        return html(index_page(context, error=detail), 404)
    return JSONResponse({"detail": detail}, 404)


async def _refuse_method(request: Request, error: Exception) -> JSONResponse:
    """Answer 405 with the methods of all routes of the path; Starlette names those of the first one."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] != Match.NONE]
    methods = sorted({method for route in routes for method in route.methods})
    detail = f"no {request.method} here; there are {', '.join(methods)}"
    return JSONResponse({"detail": detail}, 405, {"allow": ", ".join(methods)})


async def _refuse_wrong_fields(request: Request, error: Exception) -> JSONResponse:
    """Answer 422 with each wrong field and why; `body` is the field where the whole body is wrong."""
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": name_wrong_fields(error.errors(), skip=1)}, 422)
