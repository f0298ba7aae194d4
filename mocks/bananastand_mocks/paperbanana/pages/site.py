"""The admin's pages over HTTP: who is let in, which page, which action.

The admin key lies in a cookie that no script and no other site can use. A page is for the world whose admin key it is.
Host must be this machine's, so that no name of a stranger leads here, and a form of another site is refused.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bananastand.contracts.contract import Contract
from bananastand.contracts.errors import Problem, Violation

from ...kernel.world import World
from ...kernel.worlds import Worlds
from ...templates import PAGE_HEADERS, STYLE_SHEET
from .. import keys, state
from ..errors import render
from ..lifecycle import TaskRunner
from ..tasks import MEDIA_TYPES, rendered
from . import views

__all__ = ["AdminSite"]

COOKIE = "paperbanana_admin"
LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))
LONGEST = 64 * 2**10  # bytes of a form
NUMBERS = ("quota", "quota_remaining", "quota_total")
DIGITS = re.compile(r"[0-9]{1,15}")

Form = dict[str, str]


class AdminSite:
    """ASGI for /adm and what lies below it; `pinned` names the world of the address in a scope, if it has one."""

    def __init__(self, worlds: Worlds, runner: TaskRunner, contract: Contract, pinned: str) -> None:
        self._worlds, self._runner, self._contract, self._pinned = worlds, runner, contract, pinned

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        response = await self._respond(request, scope.get(self._pinned))
        response.headers.update(PAGE_HEADERS)
        await response(scope, receive, send)

    async def _respond(self, request: Request, pinned: World | None) -> Response:
        root: str = request.scope.get("root_path", "")
        parts = [part for part in request.scope["path"].removeprefix(root).split("/") if part][1:]
        if refused := _foreign_reason(request):
            return Response(refused, 403, media_type="text/plain")
        if parts == ["style.css"]:
            return Response(STYLE_SHEET.read_text(encoding="utf-8"), media_type="text/css")
        if request.method not in ("GET", "HEAD", "POST"):
            return Response("Method Not Allowed", 405, {"allow": "GET, POST"}, "text/plain")
        form = await _form(request) if request.method == "POST" else None
        if form is not None and parts == ["login"]:
            return self._log_in(root, form.get("key", ""), pinned)
        world = self._world(request.cookies.get(COOKIE, ""), pinned)
        if world is None:
            return HTMLResponse(views.login_page(root), 401)
        if form is None:
            return await self._show(request, world, root, parts)
        response = self._handle_form(world, root, parts, form)
        if self._worlds.keep is not None:
            self._worlds.keep(world)
        return response

    def _log_in(self, root: str, key: str, pinned: World | None) -> Response:
        if self._world(key, pinned) is None:
            return HTMLResponse(views.login_page(root, "This is not the admin key."), 401)
        response = RedirectResponse(f"{root}/adm", 303)
        response.set_cookie(COOKIE, key, path=f"{root}/adm", httponly=True, samesite="strict")
        return response

    def _world(self, key: str, pinned: World | None) -> World | None:
        """The world whose admin key it is."""
        world = self._worlds.holding(state.ADMIN_KIND, key)
        return world if pinned is None or world is pinned else None

    async def _show(self, request: Request, world: World, root: str, parts: list[str]) -> Response:
        world.clock.run_due()
        query = request.query_params
        match parts:
            case []:
                return HTMLResponse(views.keys_page(world, root))
            case ["keys", number] if found := _key(world, number):
                return HTMLResponse(views.key_page(world, root, *found))
            case ["keys", number, "delete"] if found := _key(world, number):
                return HTMLResponse(views.delete_key_page(root, found[1]))
            case ["tasks"]:
                turn = query.get("page", "1")
                number = int(turn) if turn.isdecimal() and len(turn) < 9 else 1
                return HTMLResponse(views.tasks_page(world, root, max(number, 1), query.get("status") or None))
            case ["tasks", task_id] if row := state.tasks(world).get(task_id):
                await self._runner.settle(world, row)
                description = (await self._rendered(world, row)).description if row["status"] == "completed" else None
                return HTMLResponse(views.task_page(world, root, row, description, still="still" in query))
            case ["tasks", task_id, file] if row := state.tasks(world).get(task_id):
                return await self._file(world, row, file.removeprefix("figure."))
            case _:
                return HTMLResponse(views.login_page(root, "There is no such page."), 404)

    async def _file(self, world: World, row: state.Row, kind: str) -> Response:
        if row["status"] != "completed" or kind not in row["formats"]:
            return Response("Not Found", 404, media_type="text/plain")
        return Response((await self._rendered(world, row)).files[kind], media_type=MEDIA_TYPES[kind])

    async def _rendered(self, world: World, row: state.Row) -> Any:
        return await rendered(world, row, self._runner)

    def _handle_form(self, world: World, root: str, parts: list[str], form: Form) -> Response:
        """What a form asks for; back to the page it stands on."""
        home = RedirectResponse(f"{root}/adm", 303)
        match parts:
            case ["logout"]:
                home.delete_cookie(COOKIE, path=f"{root}/adm", httponly=True, samesite="strict")
                return home
            case ["keys"]:
                return self._create(world, root, form)
            case ["keys", number] if found := _key(world, number):
                return self._update(world, root, found, form)
            case ["keys", number, ("disable" | "enable") as switch] if found := _key(world, number):
                found[1]["active"] = switch == "enable"
                return home
            case ["keys", number, "delete"] if found := _key(world, number):
                state.remove_key(world, found[0])
                return home
            case _:
                return HTMLResponse(views.login_page(root, "There is no such page."), 404)

    def _create(self, world: World, root: str, form: Form) -> Response:
        body = _body({name: value for name, value in form.items() if value})
        if error := self._violation("create_key", body):
            return HTMLResponse(views.keys_page(world, root, error=error), 422)
        created = keys.create_key(world, body)
        return HTMLResponse(views.keys_page(world, root, created=created["key"]), 201)

    def _update(self, world: World, root: str, found: tuple[str, state.Row], form: Form) -> Response:
        """Empty numbers and an empty secret change nothing; an empty URL removes the webhook."""
        body = _body({name: value for name, value in form.items() if value or name == "webhook_url"})
        if error := self._violation("update_key", body):
            return HTMLResponse(views.key_page(world, root, *found, error=error), 422)
        keys.update_key(world, {"key": found[0]}, body)
        return RedirectResponse(f"{root}/adm/keys/{found[1]['number']}", 303)

    def _violation(self, operation: str, body: dict[str, Any]) -> str:
        """What of a form is against the contract, in the provider's words."""
        violations: list[Violation] = []
        self._contract.by_id[operation].check_body(body, violations)
        return render(Problem("violation", "", violations), None).body["detail"] if violations else ""


def _foreign_reason(request: Request) -> str:
    """Why a request is not this site's own; empty if it is."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    try:
        here, theirs = urlsplit(f"//{host}").hostname, urlsplit(origin or "").netloc
    except ValueError:
        return "Host and Origin cannot be read"
    if here not in LOOPBACK:
        return f"Host {host} is not this machine"
    if origin is not None and theirs != host:
        return f"Origin {origin} may not use this page"
    return ""


async def _form(request: Request) -> Form:
    """The fields of a form, of which no more is read than a form can have."""
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LONGEST:
            return {}
    return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))


def _body(form: Form) -> dict[str, Any]:
    """A form as the API's JSON: digits are numbers where numbers are due."""
    return {name: int(value) if name in NUMBERS and DIGITS.fullmatch(value) else value for name, value in form.items()}


def _key(world: World, number: str) -> tuple[str, state.Row] | None:
    return next(((key, row) for key, row in state.keys(world).items() if str(row["number"]) == number), None)
