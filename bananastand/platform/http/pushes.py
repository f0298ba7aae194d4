"""Deploys by push: a git push to the platform, and GitHub's webhook."""

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
from bananastand.asgi.responses import error_body, refuse_websocket

from ..errors import PlatformError
from ..platform import Platform
from ..store.directory import pack
from ..store.logs import plain
from .errors import json_error
from .git import Git
from .github import MAX_PAYLOAD, HookAnswer, Push, read_delivery
from .github_repositories import GitHubRepositories
from .proxy import read_body

__all__ = ["GITHUB", "git_app", "github_app"]

GITHUB = "/hooks/github"


def git_app(platform: Platform, url: str) -> Git:
    """Return the application for `git push` to /git/PROJECT.git, which shows the pusher the build.

    Args:
        platform: The platform.
        url: The platform's URL, for the run URL that is shown.
    """

    async def deploy(name: str, checkout: Path) -> AsyncGenerator[str]:
        archive = platform.settings.data / "uploads" / f"{uuid.uuid4().hex}.part"
        try:
            await asyncio.to_thread(pack, checkout, archive)
            build = platform.deploy(name, str(archive), archive=archive)
            await platform.deployer.keep_archive(build)
        finally:
            archive.unlink(missing_ok=True)
            await asyncio.to_thread(shutil.rmtree, checkout, ignore_errors=True)
        async for row in platform.deployer.log(build).follow():
            yield plain(str(row["line"]))
        build = platform.builds.get(build.id)
        if build.state == "live":
            yield f"{name} is live at {url}/banana/run/{name}"
        else:
            reason = (build.error or "no reason").partition("\n")[0]  # the log above has the advice
            yield f"error: the build is {build.state}: {reason}; its log: bananastand logs --build {build.id}"

    return Git(platform.settings.data / "git", lambda key: platform.keys.find(key) is not None, deploy)


def github_app(platform: Platform, secret: str | None) -> Any:
    """Return the application at GITHUB. Deliveries are signed with the secret and so need no API key."""
    repositories = GitHubRepositories(platform.store)

    def deploy(name: str, source: str) -> str:
        return platform.deploy(name, source).id

    budget = BodyBudget(platform.settings.body_memory)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await refuse_websocket(scope, receive, send, "GitHub's webhook is a POST request", status=400)
            return
        request = Request(scope, receive)
        if request.method != "POST":
            response = json_error(405, "method_not_allowed", "POST only", {"allow": "POST"})
        else:
            try:
                delivery = read_delivery(await read_body(request, MAX_PAYLOAD, budget), request.headers, secret)
                answer = repositories.accept(delivery, deploy) if isinstance(delivery, Push) else delivery
            except PlatformError as error:
                answer = HookAnswer(error.status, error_body(error.code, str(error)))
            response = JSONResponse(answer.body, answer.status)
        await response(scope, receive, send)

    return application
