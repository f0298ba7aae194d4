"""What deploys without being asked to: a git push to the stand, and GitHub's webhook. Joins them to a stand."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from bananastand.asgi.bodies import BodyBudget
from bananastand.asgi.responses import refuse_websocket

from ..errors import PlatformError
from ..platform import Platform
from ..store.directory import pack
from ..store.logs import plain
from .git import Git
from .github import LARGEST, HookAnswer, Push, read_delivery
from .github_repositories import GitHubRepositories
from .proxy import read_body

__all__ = ["GITHUB", "git_app", "github_app"]

GITHUB = "/hooks/github"


def git_app(stand: Platform, url: str) -> Git:
    """`git push` to /git/PROJECT.git: the pusher follows the build. `url` is where the stand is called."""

    async def deploy(name: str, checkout: Path) -> AsyncGenerator[str]:
        archive = stand.settings.data / "uploads" / f"{uuid.uuid4().hex}.part"
        try:
            await asyncio.to_thread(pack, checkout, archive)
            build = stand.deploy(name, str(archive), archive=archive)
        finally:
            archive.unlink(missing_ok=True)
            await asyncio.to_thread(shutil.rmtree, checkout, ignore_errors=True)
        async for row in stand.deployer.log(build).follow():
            yield plain(str(row["line"]))
        build = stand.builds.get(build.id)
        if build.state == "live":
            yield f"{name} is live at {url}/banana/run/{name}"
        else:
            reason = (build.error or "no reason").partition("\n")[0]  # the log above has the advice
            yield f"error: the build is {build.state}: {reason}; its log: bananastand logs --build {build.id}"

    return Git(stand.settings.data / "git", lambda key: stand.keys.find(key) is not None, deploy)


def github_app(stand: Platform, secret: str | None) -> Any:
    """The ASGI application at GITHUB. Deliveries are signed with the secret, so no key is wanted."""

    repositories = GitHubRepositories(stand.store)

    def deploy(name: str, source: str) -> str:
        return stand.deploy(name, source).id

    budget = BodyBudget(stand.settings.body_memory)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await refuse_websocket(scope, receive, send, "GitHub's webhook is a POST request", status=400)
            return
        request = Request(scope, receive)
        if request.method != "POST":
            error = {"code": "method_not_allowed", "message": "POST only"}
            response = JSONResponse({"error": error}, 405, {"allow": "POST"})
        else:
            try:
                delivery = read_delivery(await read_body(request, LARGEST, budget), request.headers, secret)
                answer = repositories.take(delivery, deploy) if isinstance(delivery, Push) else delivery
            except PlatformError as error:
                answer = HookAnswer(error.status, {"error": {"code": error.code, "message": str(error)}})
            response = JSONResponse(answer.body, answer.status)
        await response(scope, receive, send)

    return application
