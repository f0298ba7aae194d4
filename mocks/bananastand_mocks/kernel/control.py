"""The control plane: worlds, clock, faults, journal, limits and coverage as a JSON API under /_stand/.

Knows no provider. It is not for browsers of other sites: Host must be loopback or listed, a foreign Origin is refused,
and no CORS header is ever sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from .errors import StateError
from .faults import Fault
from .faults import Kind as FaultKind
from .world import World
from .worlds import Kind, Worlds

__all__ = ["Advance", "Guard", "NewFault", "NewLimit", "NewTasks", "NewWorld", "Reset", "Verify", "control_plane"]

LOOPBACK = frozenset(("127.0.0.1", "localhost", "[::1]", "::1"))


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewWorld(_Body):
    """A world to be made."""

    name: str = Field("", pattern=r"^[A-Za-z0-9_.-]{0,64}$")
    kind: Kind = "development"
    seed: int | None = None
    time: Literal["real", "virtual"] = "virtual"
    speed: float = Field(1.0, gt=0)


class Reset(_Body):
    """How a world begins anew; what is left out stays."""

    kind: Kind | None = None
    seed: int | None = None


class Advance(_Body):
    """Seconds by which a clock is moved."""

    advance: float = Field(ge=0, le=100 * 366 * 86400)


class NewFault(_Body):
    """A fault to be set; see `Fault`."""

    kind: FaultKind
    operation: str = "*"
    first: int = 1
    last: int | None = None
    status: int = 500
    message: str = ""
    seconds: float = 0.0
    probability: float = 1.0


class Verify(_Body):
    """Calls that are expected."""

    expected: dict[str, Any] = Field(default_factory=dict[str, Any])
    exactly: int | None = None
    at_least: int | None = None
    at_most: int | None = None


class NewLimit(_Body):
    """So many calls in so many seconds."""

    calls: int = Field(ge=0)
    seconds: float = Field(gt=0)


class NewTasks(_Body):
    """How long work takes, and how the next pieces of it end."""

    mode: Literal["immediately", "after_polls", "after_seconds"] = "immediately"
    polls: int = Field(0, ge=0)
    seconds: float = Field(0.0, ge=0)
    failures: int = Field(0, ge=0)
    failure: str = "the task was told to fail"


class Guard:
    """Lets a request pass, or says why not."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = LOOPBACK | frozenset(hosts)

    def refuse(self, request: Request) -> str | None:
        """The reason against this request, if there is one."""
        host = request.headers.get("host", "")
        if _hostname(f"//{host}") not in self._hosts:
            return f"Host {host} is not this machine; list it to allow it"
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return f"Origin {origin} may not use the control plane"
        return None


def control_plane(worlds: Worlds, *, hosts: Iterable[str] = ()) -> FastAPI:
    """The API over these worlds, with routes below /_stand."""
    app = FastAPI(title="Bananastand control plane", openapi_url="/_stand/openapi.json", docs_url=None, redoc_url=None)
    guard = Guard(hosts)

    @app.middleware("http")
    async def check(request: Request, proceed: Any) -> Any:
        if refused := guard.refuse(request):
            return JSONResponse({"detail": refused}, 403)
        return await proceed(request)

    def found(name: str) -> World:
        world = worlds.named(name)
        if world is None:
            raise HTTPException(404, f"there is no world {name}")
        return world

    def keep(world: World) -> dict[str, Any]:
        if worlds.keep is not None:
            worlds.keep(world)
        return _told(world)

    _reference(app)
    _of_worlds(app, worlds, found, keep)
    _of_time(app, found, keep)
    _of_calls(app, worlds, found)
    return app


def _reference(app: FastAPI) -> None:
    @app.get("/_stand/", response_class=HTMLResponse, include_in_schema=False)
    @app.get("/_stand", response_class=HTMLResponse, include_in_schema=False)
    def reference() -> str:
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

    @app.get("/_stand/health")
    def health() -> dict[str, str]:
        """Answers when the server does."""
        return {"status": "ok"}


def _of_worlds(app: FastAPI, worlds: Worlds, found: Any, keep: Any) -> None:
    @app.get("/_stand/worlds")
    def list_worlds() -> dict[str, Any]:
        """All worlds."""
        return {"worlds": [_told(world) for world in worlds]}

    @app.post("/_stand/worlds", status_code=201)
    def create_world(asked: NewWorld) -> dict[str, Any]:
        """Make a world with credentials of its own."""
        try:
            world = worlds.create(
                asked.name, kind=asked.kind, seed=asked.seed, virtual=asked.time == "virtual", speed=asked.speed
            )
        except ValueError as error:
            raise HTTPException(409, str(error)) from None
        return keep(world)

    @app.get("/_stand/worlds/{name}")
    def get_world(name: str) -> dict[str, Any]:
        """One world: its credentials, clock, settings and breaches of contract."""
        return _told(found(name))

    @app.delete("/_stand/worlds/{name}", status_code=204)
    def delete_world(name: str) -> None:
        """End a world."""
        try:
            worlds.remove(found(name))
        except ValueError as error:
            raise HTTPException(409, str(error)) from None

    @app.post("/_stand/worlds/{name}/reset")
    def reset_world(name: str, asked: Reset) -> dict[str, Any]:
        """Begin anew, with the same credentials and the same seed unless another is given."""
        world = found(name)
        worlds.reset(world, kind=asked.kind, seed=asked.seed)
        return keep(world)

    @app.get("/_stand/worlds/{name}/export")
    def export_world(name: str) -> dict[str, Any]:
        """The whole world as JSON, its secrets too, without journal and coverage."""
        return found(name).dump()

    @app.post("/_stand/worlds/{name}/import")
    def import_world(name: str, state: dict[str, Any]) -> dict[str, Any]:
        """Become an exported world."""
        world = found(name)
        try:
            worlds.restore(world, state)
        except StateError as error:
            raise HTTPException(422, str(error)) from None
        return keep(world)

    @app.patch("/_stand/worlds/{name}/settings")
    def change_settings(name: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Change settings that there are."""
        world = found(name)
        unknown = sorted(settings.keys() - world.settings.keys())
        if unknown:
            raise HTTPException(422, f"no setting {', '.join(unknown)}; there are {', '.join(sorted(world.settings))}")
        world.settings.update(settings)
        return keep(world)


def _of_time(app: FastAPI, found: Any, keep: Any) -> None:
    @app.post("/_stand/worlds/{name}/clock")
    def advance_clock(name: str, asked: Advance) -> dict[str, Any]:
        """Move the clock forward and run what falls due."""
        world = found(name)
        ran = world.clock.advance(asked.advance)
        keep(world)
        return {"ran": ran, **world.clock.dump()}

    @app.put("/_stand/worlds/{name}/tasks")
    def set_tasks(name: str, asked: NewTasks) -> dict[str, Any]:
        """Say how long work takes from now on."""
        world = found(name)
        world.tasks.load(asked.model_dump())
        keep(world)
        return world.tasks.dump()

    @app.get("/_stand/worlds/{name}/faults")
    def list_faults(name: str) -> dict[str, Any]:
        """The faults that are set, with how many calls they have seen and struck."""
        return {"faults": found(name).faults.dump()}

    @app.post("/_stand/worlds/{name}/faults", status_code=201)
    def add_fault(name: str, asked: NewFault) -> dict[str, Any]:
        """Set a fault."""
        world = found(name)
        try:
            world.faults.add(Fault(**asked.model_dump()))
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        keep(world)
        return {"faults": world.faults.dump()}

    @app.delete("/_stand/worlds/{name}/faults", status_code=204)
    def clear_faults(name: str) -> None:
        """No more faults."""
        world = found(name)
        world.faults.clear()
        keep(world)

    @app.get("/_stand/worlds/{name}/limits")
    def list_limits(name: str) -> dict[str, Any]:
        """Rate limits and their running windows."""
        return found(name).limits.dump()

    @app.put("/_stand/worlds/{name}/limits/{provider}")
    def set_limit(name: str, provider: str, asked: NewLimit) -> dict[str, Any]:
        """Limit the calls to a provider."""
        world = found(name)
        world.limits.set(provider, asked.calls, asked.seconds)
        keep(world)
        return world.limits.dump()

    @app.delete("/_stand/worlds/{name}/limits/{provider}", status_code=204)
    def remove_limit(name: str, provider: str) -> None:
        """No limit any more."""
        world = found(name)
        world.limits.unset(provider)
        keep(world)


def _of_calls(app: FastAPI, worlds: Worlds, found: Any) -> None:
    contracts = {provider.name: provider.contract for provider in worlds.providers}

    @app.get("/_stand/worlds/{name}/journal")
    def read_journal(
        name: str, provider: str | None = None, operation: str | None = None, status: int | None = None
    ) -> dict[str, Any]:
        """The calls, oldest first."""
        asked = {"provider": provider, "operation": operation, "status": status}
        wanted = {field: value for field, value in asked.items() if value is not None}
        return {"calls": [entry.dump() for entry in found(name).journal.find(**wanted)]}

    @app.delete("/_stand/worlds/{name}/journal", status_code=204)
    def clear_journal(name: str) -> None:
        """Forget the calls."""
        found(name).journal.clear()

    @app.post("/_stand/worlds/{name}/journal/verify")
    def verify_journal(name: str, asked: Verify) -> dict[str, Any]:
        """Whether as many calls as expected fitted; if not, those that came nearest, and where they differ."""
        try:
            verdict = found(name).journal.verify(
                exactly=asked.exactly, at_least=asked.at_least, at_most=asked.at_most, **asked.expected
            )
        except (TypeError, ValueError) as error:
            raise HTTPException(422, str(error)) from None
        return {
            "verified": verdict.verified,
            "matched": verdict.matched,
            "expected": verdict.expected,
            "near_misses": [
                {"call": entry.dump(), "differences": [each._asdict() for each in differences]}
                for entry, differences in verdict.near_misses
            ],
        }

    @app.get("/_stand/worlds/{name}/coverage")
    def read_coverage(name: str) -> dict[str, Any]:
        """Which operations, parameters and statuses were exercised."""
        return {"operations": found(name).coverage.report(contracts)}

    @app.get("/_stand/worlds/{name}/coverage.txt", response_class=PlainTextResponse)
    def coverage_table(name: str) -> str:
        """The coverage as a table."""
        rows = found(name).coverage.report(contracts)
        lines = [
            f"{row['provider']:<14} {row['operation']:<18} {row['calls']:>6}  "
            f"{' '.join(f'{status}:{count}' for status, count in row['statuses'].items()) or '-'}"
            for row in rows
        ]
        called = sum(1 for row in rows if row["calls"])
        return "\n".join([*lines, f"{called} of {len(rows)} operations called", ""])

    @app.delete("/_stand/worlds/{name}/coverage", status_code=204)
    def reset_coverage(name: str) -> None:
        """Count anew."""
        found(name).coverage.reset()


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


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
