"""Banana's own API at its own address, in a world: `bananastand.banana_api.native` over the mock's runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bananastand.banana_api import build_log
from bananastand.banana_api.errors import render
from bananastand.banana_api.native import UPLOAD, NativeApi
from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.http_handler import HttpHandler
from ..kernel.http_request import PINNED
from ..kernel.ids import Ids
from ..kernel.provider import Credential, Provider
from ..kernel.world import World
from ..kernel.worlds import Kind, Worlds
from .deploying import EVENT, step
from .operations import endpoints_of
from .runtime import UPLOAD_KEY, InstantRuntime, RuntimeFactory
from .state import RUN_DUE, fill, run_is_due

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

    from .task_api import TaskApi

__all__ = ["KEY", "BananaDev"]

API = NativeApi()


def _mint(ids: Ids) -> str:
    return ids.uuid()


KEY = Credential("banana", "11111111-1111-1111-1111-111111111111", _mint)


class BananaDev(Provider):
    """banana-native, at /banana."""

    name = "banana-native"
    mount = API.mount
    contract_file = API.contract_file
    title = "Banana.dev"
    summary = "Queue (start and check, v2 to v4), projects, the CLI's deploy flow, build log, run URLs"
    max_body = API.max_body
    events = {EVENT: step, RUN_DUE: run_is_due}
    credentials = (KEY,)
    hosts = {
        **dict.fromkeys(("api.banana.dev", "app.banana.dev", "build.banana.dev"), API.mount),
        "*.run.banana.dev": f"{API.mount}/run/{{}}",
    }

    def __init__(self, runtime: RuntimeFactory = InstantRuntime) -> None:
        self._runtime, self._log_readers = runtime, build_log.LogReaders()
        self.endpoints = endpoints_of(API.operations, runtime)
        self.sockets = {build_log.PATH: self._stream_build_log}
        self.pages = dict.fromkeys(("api", "feedback"), self._task_api)

    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """Return Banana's key; for an upload the key in its address, which is a credential of its own here."""
        if call.operation.id == UPLOAD:
            return UPLOAD_KEY, call.path["key"]
        key = API.key(call)
        return None if key is None else (KEY.kind, key)

    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """Render a problem in the form of the address."""
        if call is None:
            return render(problem)
        if call.operation.id == UPLOAD and problem.condition == "unknown_credential":
            problem = Problem("upload_refused")
        return API.failure(problem, call, self._runtime(call.world))

    def fill(self, world: World, kind: Kind) -> None:
        """Fill the account and its projects."""
        fill(world, kind)

    def _task_api(self, worlds: Worlds) -> TaskApi:
        from .task_api import TaskApi

        return TaskApi(HttpHandler(self, worlds))

    async def _stream_build_log(self, websocket: WebSocket, worlds: Worlds) -> None:
        world = worlds.holding(KEY.kind, websocket.headers.get("x-banana-api-key", ""))
        pinned = websocket.scope.get(PINNED)
        is_valid = world is not None and pinned in (None, world)
        runtime = self._runtime(world) if is_valid and world is not None else None
        await build_log.stream_build_log(websocket, runtime, self._log_readers)
