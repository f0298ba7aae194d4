"""PaperBanana at its address: keys, errors, what a world holds."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.response import ApiResponse
from bananastand.outbound import AddressPolicy

from ..kernel.call import ApiCall
from ..kernel.http_request import PINNED, HttpRequest
from ..kernel.ids import Ids
from ..kernel.provider import Credential, Provider
from ..kernel.world import World
from ..kernel.worlds import Kind, Worlds
from . import health, history, keys, state, submissions, tasks
from .coercions import coerce
from .errors import is_admin, render
from .lifecycle import TaskRunner
from .rendering import Renderer
from .seeds import fill
from .vlm import Vlm
from .webhooks import WebhookSender

__all__ = ["ADMIN", "KEY", "PaperBananaProvider"]

SUBMISSIONS = frozenset(submissions.__all__)


def _mint_admin(ids: Ids) -> str:
    return f"admin-{ids.hex(24)}"


def _mint_key(ids: Ids) -> str:
    return keys.mint(ids.hex(32))


KEY = Credential(state.KEY_KIND, keys.mint("0" * 32), _mint_key)
ADMIN = Credential(state.ADMIN_KIND, "admin-bananastand", _mint_admin)


class PaperBananaProvider(Provider):
    """paperbanana, at /paperbanana. `webhooks` are addresses it may post to beside those of this machine.

    A `vlm` is asked what figures shall show; without one the texts are read by rules.
    """

    name = "paperbanana"
    mount = "/paperbanana"
    hosts = {"api.paperbanana.me": "/paperbanana"}
    contract_file = Path(__file__).with_name("openapi.yaml")
    title = "PaperBanana"
    summary = "Figures for papers: diagrams, plots, composites, prompts; tasks, webhooks, keys with quotas"
    max_body = 48 * 2**20  # PDFs come this way
    endpoints = {
        "get_health": health.get_health,
        "create_diagram": submissions.create_diagram,
        "create_diagram_from_pdf": submissions.create_diagram_from_pdf,
        "optimize_prompt": submissions.optimize_prompt,
        "create_plot": submissions.create_plot,
        "create_composite": submissions.create_composite,
        "get_task": tasks.get_task,
        "get_task_image": tasks.get_task_image,
        "create_key": keys.create_key,
        "list_keys": keys.list_keys,
        "get_key": keys.get_key,
        "update_key": keys.update_key,
        "delete_key": keys.delete_key,
        "list_history": history.list_history,
        "get_history": history.get_history,
    }

    def __init__(
        self, *, webhooks: Iterable[str] = (), renderer: Renderer | None = None, vlm: Vlm | None = None
    ) -> None:
        self.runner = TaskRunner(renderer or Renderer(), WebhookSender(AddressPolicy.loopback(webhooks)), vlm)
        self.events, self.resources = self.runner.events, {"runner": self.runner}
        self.pages = {"adm": self._admin_site}
        admin = os.environ.get("PAPERBANANA_ADMIN_KEY") or ADMIN.well_known  # D:35
        self.credentials = (KEY, Credential(ADMIN.kind, admin, ADMIN.mint))

    def early(self, request: HttpRequest) -> ApiResponse | None:
        """Return the contract, or the redirect of a path with a trailing slash, which FastAPI sends for any method."""
        path = request.path.rstrip("/")
        if path == request.path or not self._has_route(request.method, path):
            return super().early(request)
        query = f"?{request.query}" if request.query else ""
        return ApiResponse(None, 307, {"location": f"{request.base}{quote(path)}{query}"})

    def _has_route(self, method: str, path: str) -> bool:
        try:
            self.contract.routes.find(method, path)
        except ProviderError as error:
            return error.problem.condition == "wrong_method"
        return True

    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        """The Bearer token; below /api/admin it is the admin's (D:28-35)."""
        if call.operation.id == "get_health":
            return None
        admin = is_admin(call)
        if admin and not state.setting(call.world, "admin_key_configured"):
            raise ProviderError("not_configured")
        authorization = call.headers.get("authorization", "")
        if not authorization.startswith("Bearer "):
            raise ProviderError("unauthorized")
        return ADMIN.kind if admin else KEY.kind, authorization.removeprefix("Bearer ")

    def prepare(self, call: ApiCall) -> None:
        """Refuse a key that is gone, disabled or exhausted, before the body is looked at; then read it laxly."""
        self._check_key(call)
        coerce(call, self.contract.schemas)

    def _check_key(self, call: ApiCall) -> None:
        if call.operation.id == "get_health" or is_admin(call):
            return
        row = state.keys(call.world).get(call.credential or "")
        if row is None:
            raise ProviderError("unknown_credential")
        if not row["active"]:
            raise ProviderError("disabled")
        counted = call.operation.id in SUBMISSIONS or state.setting(call.world, "quota_blocks_polling")
        if counted and row["quota_remaining"] is not None and row["quota_remaining"] <= 0:
            raise ProviderError("quota_exhausted")

    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        """A text in `detail`."""
        return render(problem, call)

    def fill(self, world: World, kind: Kind) -> None:
        """The ready-made key; in the documents world what the document names."""
        fill(world, kind)

    def _admin_site(self, worlds: Worlds) -> Any:
        from .pages import AdminSite

        return AdminSite(worlds, self.runner, self.contract, PINNED)
