"""The routes of the control plane's pages: plain HTML with forms, for people."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from ...templates import PAGE_HEADERS, STYLE_SHEET
from ..world import World
from . import actions, forms, views
from .context import ControlContext
from .forms import Form
from .guard import PAGES
from .wrong_fields import name_wrong_fields

__all__ = ["add_page_routes", "html"]


def html(page: bytes, status: int = 200) -> HTMLResponse:
    """Return a page with the headers that allow it nothing but its style sheet and its own forms."""
    return HTMLResponse(page, status, PAGE_HEADERS)


def add_page_routes(app: FastAPI, context: ControlContext) -> None:
    """Give the application these routes."""
    _add_overview(app, context)
    _add_worlds(app, context)


def _add_overview(app: FastAPI, context: ControlContext) -> None:
    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return html(views.index_page(context))

    @app.get(f"{PAGES}/style.css", include_in_schema=False)
    async def style() -> Response:
        return Response(STYLE_SHEET.read_text(encoding="utf-8"), media_type="text/css")

    @app.post(PAGES, include_in_schema=False)
    async def create_world(request: Request) -> Response:
        try:
            form = forms.read_form(await request.body())
            world = actions.create_world(context, forms.read_world(form))
        except (ValidationError, HTTPException) as error:
            return html(views.index_page(context, error=_reason(error)), 422)
        return RedirectResponse(f"{PAGES}/{world.name}", 303)


def _add_worlds(app: FastAPI, context: ControlContext) -> None:
    @app.get(f"{PAGES}/{{name}}", include_in_schema=False)
    async def show_world(name: str) -> Response:
        return html(views.world_page(context, context.world(name)))

    @app.get(f"{PAGES}/{{name}}/journal", include_in_schema=False)
    async def show_journal(
        name: str, provider: str = "", operation: str = "", path: str = "", status: str = "", page: str = "1"
    ) -> Response:
        texts = {"provider": provider, "operation": operation, "path": path}
        filters: dict[str, Any] = {field: value for field, value in texts.items() if value}
        if _is_number(status):
            filters["status"] = int(status)
        number = max(int(page), 1) if _is_number(page) else 1
        return html(views.journal_page(context, context.world(name), filters, number))

    @app.get(f"{PAGES}/{{name}}/journal/{{number}}", include_in_schema=False)
    async def show_call(name: str, number: int) -> Response:
        world = context.world(name)
        entry = next((entry for entry in world.journal if entry.number == number), None)
        if entry is None:
            raise HTTPException(404, f"the journal of {name} has no call {number}")
        return html(views.call_page(world, entry))

    @app.post(f"{PAGES}/{{name}}/{{action:path}}", include_in_schema=False)
    async def act(name: str, action: str, request: Request) -> Response:
        world, form = context.world(name), Form()
        try:
            form = forms.read_form(await request.body())
            section = await _act(context, world, action, form)
        except (ValidationError, HTTPException) as error:
            if isinstance(error, HTTPException) and error.status_code == 404:
                raise
            page = views.world_page(context, world, error=_reason(error), form_name=action, form=form)
            return html(page, 422)
        return RedirectResponse(f"{PAGES}/{name}{section}", 303)


async def _act(context: ControlContext, world: World, action: str, form: Form) -> str:
    """Do what a form asks for; return where on the world's pages to go on."""
    match action.split("/"):
        case ["clock"]:
            await actions.advance(context, world, forms.read_advance(form))
        case ["step"]:
            actions.set_step(context, world, forms.read_step(form))
            return "#clock"
        case ["reset"]:
            actions.reset(context, world, forms.read_reset(form))
            return ""
        case ["faults"]:
            actions.add_fault(context, world, forms.read_fault(form))
        case ["faults", "clear"]:
            world.faults.clear()
            context.save(world)
        case ["limits"]:
            actions.set_limit(context, world, form.get("provider", ""), forms.read_limit(form))
        case ["limits", provider, "remove"]:
            actions.remove_limit(context, world, provider)
        case ["stubs"]:
            actions.add_stub(context, world, forms.read_stub(form))
        case ["stubs", id, "remove"] if _is_number(id):
            context.stub(world.name, int(id)).remove()
            context.save(world)
        case ["journal", "clear"]:
            world.journal.clear()
            return "/journal"
        case _:
            raise HTTPException(404, f"no form does {action[:80]}")
    return f"#{action.partition('/')[0]}"


def _reason(error: ValidationError | HTTPException) -> str:
    return str(error.detail) if isinstance(error, HTTPException) else name_wrong_fields(error.errors())


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 9
