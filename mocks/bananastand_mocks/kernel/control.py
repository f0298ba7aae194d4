"""The control plane: worlds, clock, faults, journal, limits and coverage as a JSON API under /_stand/.

Knows no provider. It is not for browsers of other sites (see `guard`), and no CORS header is ever sent. What is wrong
is answered with {"detail": text that names the field}. All but the clock runs on the event loop, as the calls of the
providers do, so that nothing sees a world half changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse

from .control_bodies import Advance, NewFault, NewLimit, NewTasks, NewWorld, Reset
from .control_calls import of_calls
from .errors import StateError
from .faults import Fault
from .guard import Guard
from .reference import reference_page
from .settings import refused
from .world import World
from .worlds import Worlds

__all__ = ["control_plane"]


def control_plane(worlds: Worlds, *, hosts: Iterable[str] = ()) -> FastAPI:
    """The API over these worlds, with routes below /_stand."""
    app = FastAPI(
        title="Bananastand control plane",
        openapi_url="/_stand/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(_no_strangers)],
        exception_handlers={RequestValidationError: _invalid},
    )
    app.add_middleware(Guard, hosts=tuple(hosts), budget=worlds.bodies)

    def found(name: str) -> World:
        world = worlds.named(name)
        if world is None:
            raise HTTPException(404, f"there is no world {name}")
        return world

    def keep(world: World) -> dict[str, Any]:
        if worlds.keep is not None:
            worlds.keep(world)
        return _told(world)

    _reference(app, worlds)
    _of_worlds(app, worlds, found, keep)
    _of_time(app, worlds, found, keep)
    of_calls(app, worlds, found)
    return app


def _reference(app: FastAPI, worlds: Worlds) -> None:
    @app.get("/_stand/", response_class=HTMLResponse, include_in_schema=False)
    @app.get("/_stand", response_class=HTMLResponse, include_in_schema=False)
    async def reference() -> str:
        rows = "".join(
            f"<tr><td><code>{method.upper()} {path}</code><td>{each.get('description', '')}"
            for path, methods in app.openapi()["paths"].items()
            for method, each in methods.items()
        )
        return (
            "<!doctype html><html lang=en><meta charset=utf-8><title>Control plane</title><h1>Control plane</h1>"
            "<p>The world of the well-known keys is called <code>default</code>. Bodies and answers: "
            f"<a href=/_stand/openapi.json>OpenAPI</a>.</p><table>{rows}</table>"
        )

    @app.get("/_stand/contracts/{provider}", response_class=HTMLResponse)
    async def contract_page(provider: str) -> str:
        """A provider's contract as a page."""
        found = next((each for each in worlds.providers if each.name == provider), None)
        if found is None:
            raise HTTPException(404, f"there is no provider {provider}")
        return reference_page(found.title, found.mount, found.contract)

    @app.get("/_stand/health")
    async def health() -> dict[str, str]:
        """Answers when the server does."""
        return {"status": "ok"}


def _of_worlds(app: FastAPI, worlds: Worlds, found: Any, keep: Any) -> None:
    @app.get("/_stand/worlds")
    async def list_worlds() -> dict[str, Any]:
        """All worlds."""
        return {"worlds": [_told(world) for world in worlds]}

    @app.post("/_stand/worlds", status_code=201)
    async def create_world(asked: NewWorld) -> dict[str, Any]:
        """Make a world with credentials of its own."""
        try:
            world = worlds.create(
                asked.name, kind=asked.kind, seed=asked.seed, virtual=asked.time == "virtual", speed=asked.speed
            )
        except ValueError as error:
            raise HTTPException(409, str(error)) from None
        return keep(world)

    @app.get("/_stand/worlds/{name}")
    async def get_world(name: str) -> dict[str, Any]:
        """One world: its credentials, clock, settings and breaches of contract."""
        return _told(found(name))

    @app.delete("/_stand/worlds/{name}", status_code=204)
    async def delete_world(name: str) -> None:
        """End a world."""
        try:
            worlds.remove(found(name))
        except ValueError as error:
            raise HTTPException(409, str(error)) from None

    @app.post("/_stand/worlds/{name}/reset")
    async def reset_world(name: str, asked: Reset) -> dict[str, Any]:
        """Begin anew, with the same credentials and the same seed unless another is given."""
        world = found(name)
        worlds.reset(world, kind=asked.kind, seed=asked.seed)
        return keep(world)

    @app.get("/_stand/worlds/{name}/export")
    async def export_world(name: str) -> dict[str, Any]:
        """The whole world as JSON, its secrets too, without journal and coverage."""
        return found(name).dump()

    @app.post("/_stand/worlds/{name}/import")
    async def import_world(name: str, state: dict[str, Any]) -> dict[str, Any]:
        """Become an exported world."""
        world = found(name)
        try:
            worlds.restore(world, state)
        except StateError as error:
            raise HTTPException(422, str(error)) from None
        return keep(world)

    @app.patch("/_stand/worlds/{name}/settings")
    async def change_settings(name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Change settings that there are."""
        world = found(name)
        unknown = sorted(settings.keys() - world.settings.keys())
        if unknown:
            raise HTTPException(422, f"no setting {', '.join(unknown)}; there are {', '.join(sorted(world.settings))}")
        if wrong := refused(world.settings, settings):
            raise HTTPException(422, wrong)
        world.settings.update(settings)
        return keep(world)


def _of_time(app: FastAPI, worlds: Worlds, found: Any, keep: Any) -> None:
    operations = {"*"}.union(*(each.contract.by_id for each in worlds.providers))

    def known(name: str, provider: str) -> World:
        if provider not in [each.name for each in worlds.providers]:
            raise HTTPException(404, f"there is no provider {provider}")
        return found(name)

    @app.post("/_stand/worlds/{name}/clock")
    async def advance_clock(name: str, asked: Advance) -> dict[str, Any]:
        """Move the clock forward and run what falls due."""
        world = found(name)
        try:
            ran = await asyncio.to_thread(world.clock.advance, asked.advance)  # what falls due may block
        except ValueError as error:
            raise HTTPException(422, f"advance: {error}") from None
        keep(world)
        return {"ran": ran, **world.clock.dump()}

    @app.put("/_stand/worlds/{name}/tasks")
    async def set_tasks(name: str, asked: NewTasks) -> dict[str, Any]:
        """Say how long work takes from now on."""
        world = found(name)
        world.tasks.load(asked.model_dump())
        keep(world)
        return world.tasks.dump()

    @app.get("/_stand/worlds/{name}/faults")
    async def list_faults(name: str) -> dict[str, Any]:
        """The faults that are set, with how many calls they have seen and struck."""
        return {"faults": found(name).faults.dump()}

    @app.post("/_stand/worlds/{name}/faults", status_code=201)
    async def add_fault(name: str, asked: NewFault) -> dict[str, Any]:
        """Set a fault."""
        world = found(name)
        if asked.operation not in operations:
            raise HTTPException(422, f"operation: no provider here has {asked.operation}")
        try:
            world.faults.add(Fault(**asked.model_dump()))
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        keep(world)
        return {"faults": world.faults.dump()}

    @app.delete("/_stand/worlds/{name}/faults", status_code=204)
    async def clear_faults(name: str) -> None:
        """No more faults."""
        world = found(name)
        world.faults.clear()
        keep(world)

    @app.get("/_stand/worlds/{name}/limits")
    async def list_limits(name: str) -> dict[str, Any]:
        """Rate limits and their running windows."""
        return found(name).limits.dump()

    @app.put("/_stand/worlds/{name}/limits/{provider}")
    async def set_limit(name: str, provider: str, asked: NewLimit) -> dict[str, Any]:
        """Limit the calls to a provider."""
        world = known(name, provider)
        world.limits.set(provider, asked.calls, asked.seconds)
        keep(world)
        return world.limits.dump()

    @app.delete("/_stand/worlds/{name}/limits/{provider}", status_code=204)
    async def remove_limit(name: str, provider: str) -> None:
        """No limit any more."""
        world = known(name, provider)
        world.limits.unset(provider)
        keep(world)


def _no_strangers(request: Request) -> None:
    """Refuse query parameters that the route does not have."""
    known = {each.alias for each in request.scope["route"].dependant.query_params}
    if unknown := sorted(request.query_params.keys() - known):
        raise HTTPException(422, f"no parameter {', '.join(unknown)}; there are {', '.join(sorted(known)) or 'none'}")


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What does not fit its type, each with its field; `body` where it is the whole."""
    assert isinstance(error, RequestValidationError)
    wrong = [
        (".".join(str(part) for part in each["loc"][1:]) or each["loc"][0], each["msg"]) for each in error.errors()
    ]
    return JSONResponse({"detail": "; ".join(f"{field}: {message}" for field, message in wrong)}, 422)


def _told(world: World) -> dict[str, Any]:
    return {
        "name": world.name,
        "seed": world.seed,
        "credentials": world.credentials,
        "clock": {"virtual": world.clock.virtual, "speed": world.clock.speed, "now": world.clock.now()},
        "settings": world.settings,
        "calls": len(world.journal),
        "breaches": world.breaches,
        "prefix": f"/w/{world.name}",
    }
