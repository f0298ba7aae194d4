"""The platform as a runtime behind Banana's API: what `bananastand.banana_api` calls, read from the platform's tables.

Run URLs are not among it: the platform serves them by itself, with their streams and their headers.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from bananastand.banana_api.runtime import (
    BananaAccount,
    BananaDeployment,
    BananaProject,
    BananaRun,
    BuildOutput,
    DailyUsage,
)
from bananastand.banana_api.uploads import expired_uploads
from bananastand.contracts.errors import ProviderError
from bananastand.contracts.json_body import MalformedJson, TooDeep, dump, parse

from ..errors import PlatformError, Refused, StoreError, TooBusy
from ..platform import Platform
from ..scheduling.pending_call import PendingCall
from ..store.builds import FINAL_STATES, Build
from ..store.logs import iso
from ..store.private_files import open_private
from ..store.projects import MAX_REPLICAS, Project
from ..store.storable import check_text

__all__ = ["PlatformRuntime"]

CALL_SECONDS = 50.0  # a call may be held so long: Banana's clients wait a minute


@dataclass(slots=True)
class _Upload:
    """An archive until it is built. `size` is None before it came, `content` None before and after its build."""

    project_id: str
    size: int | None = None
    content: bytes | None = None


class PlatformRuntime:
    """Builds and runs apps on a platform.

    Args:
        platform: The platform.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._began = iso(time.time())
        self._uploads: dict[str, _Upload] = {}
        self._deployments: dict[str, list[BananaDeployment]] = {}
        self._revision = -1  # of the builds that these are of
        platform.projects.on_change.append(self._forget_deployments)

    def is_key(self, secret: str) -> bool:
        """Return whether this is a valid key of the platform, as Banana or LowCodeAPI writes it."""
        return self._platform.keys.find(secret) is not None

    @property
    def hold_seconds(self) -> float:
        """How long start and run wait for a run to end."""
        return CALL_SECONDS

    @property
    def long_poll_seconds(self) -> float:
        """How long a check with longPoll waits."""
        return CALL_SECONDS

    def now(self) -> float:
        """Return the time in seconds since 1970."""
        return time.time()

    def new_id(self) -> str:
        """Return a random UUID."""
        return str(uuid.uuid4())

    def account(self) -> BananaAccount:
        """Return the account of this data directory."""
        return BananaAccount(
            id=self._platform.store.id,
            team_id=self._platform.store.team,
            team_name="local",
            email="local@localhost",
            plan="self-hosted",
            created_at=self._began,
            max_replicas=MAX_REPLICAS,
            concurrent_builds=self._platform.settings.builds_at_once,
            api_keys=len(self._platform.keys.ids),
        )

    def projects(self) -> Sequence[BananaProject]:
        """Return all projects, oldest first."""
        return [self._project(project) for project in self._platform.projects.list()]

    def find_project(self, name: str) -> BananaProject | None:
        """Return the project of that id, model key or name."""
        project = self._platform.projects.find(name)
        return None if project is None else self._project(project)

    def find_model(self, key: str) -> BananaProject | None:
        """Return the project of that model key or name."""
        project = self._platform.projects.find(key)
        return None if project is None or project.id == key else self._project(project)

    def create_project(self, name: str) -> BananaProject:
        """Create a project; a name that is taken gets a suffix.

        Raises:
            ProviderError: failed.
        """
        projects = self._platform.projects
        try:
            return self._project(projects.create(projects.free_name(name)))
        except StoreError as error:
            raise ProviderError("failed", str(error)) from error

    def change_project(self, project: BananaProject, changes: Mapping[str, int]) -> BananaProject:
        """Change settings.

        Raises:
            ProviderError: violation, failed.
        """
        projects = self._platform.projects
        try:
            return self._project(projects.change(projects.named(project.id), changes))
        except StoreError as error:
            raise ProviderError("failed", str(error)) from error
        except Refused as error:
            raise ProviderError("violation", str(error)) from error

    def deployments(self) -> Mapping[str, Sequence[BananaDeployment]]:
        """Return the builds of all projects, newest first, by model key."""
        builds = self._platform.builds
        if self._revision != builds.revision:
            by_model = dict[str, list[BananaDeployment]]()
            for build in builds.list():
                if (project := self._platform.projects.get(build.project_id)) is not None:
                    by_model.setdefault(project.model_key, []).append(self._deployment(build, project))
            self._revision, self._deployments = builds.revision, by_model
        return self._deployments

    def deploy(self, model_key: str, source: str, environment: Any) -> BananaDeployment:
        """Queue a build of a git URL, a local path, an image, or an upload.

        Raises:
            ProviderError: violation, failed.
        """
        platform, created = self._platform, None
        project = platform.projects.find(model_key)
        try:
            check_text("modelKey", model_key)
            variables = _variables(environment)
            if project is None:
                name = platform.projects.free_name(model_key)
                project = created = platform.projects.create(name, model_key=model_key)
            archive = self._write_upload(source)
            try:
                build = platform.deploy(project.name, source, environment=variables, archive=archive)
            except PlatformError:
                if created is not None:
                    platform.projects.remove(created)
                raise
        except StoreError as error:
            raise ProviderError("failed", str(error)) from error
        except PlatformError as error:
            raise ProviderError("violation", str(error)) from error
        return self._deployment(build, project)

    def build_output(self, deployment: str) -> BuildOutput | None:
        """Return what a build has written so far."""
        platform = self._platform
        try:
            build = platform.builds.get(deployment)
        except PlatformError:
            return None
        if platform.projects.get(build.project_id) is None:
            return None
        lines = [{"t": line["time"], "m": line["line"]} for line in platform.deployer.log(build).lines()]
        return BuildOutput(lines, build.state in FINAL_STATES)

    def create_upload(self, project: BananaProject) -> str:
        """Return a key for one archive of the project."""
        key = f"{project.id}/{uuid.uuid4().hex}.tar.gz"
        self._uploads[key] = _Upload(project.id)
        self._forget_uploads()
        return key

    def put_upload(self, key: str, content: bytes) -> None:
        """Store an uploaded archive in memory until its build.

        Raises:
            ProviderError: upload_refused.
        """
        upload = self._uploads.get(key)
        if upload is None:
            raise ProviderError("upload_refused")
        upload.size, upload.content = len(content), content
        self._forget_uploads()

    def has_upload(self, key: str, project: BananaProject) -> bool:
        """Return whether an archive of the project was uploaded under the key."""
        upload = self._uploads.get(key)
        return upload is not None and upload.size is not None and upload.project_id == project.id

    def usage(self) -> Iterable[DailyUsage]:
        """Return the usage of every day and model, with runs that ended just now."""
        for day, key, runs, succeeded, failed, seconds, cold in self._platform.calls.usage():
            yield DailyUsage(date.fromisoformat(day), key, runs, succeeded, failed, round(seconds, 3), cold)

    async def submit(self, model_key: str, inputs: Any, *, id: str | None, wait: float | None) -> BananaRun:
        """Queue a run for the app's root handler.

        Raises:
            ProviderError: model_not_found, queue_full, violation, failed.
        """
        project = self._platform.projects.find(model_key)
        if project is None:
            raise ProviderError("model_not_found")
        try:
            pending = await self._platform.submit(project, "/", dump(inputs), run_id=id)
        except TooBusy as error:
            raise ProviderError("queue_full", str(error), retry_after=error.retry_after) from error
        except Refused as error:
            raise ProviderError("violation", str(error)) from error
        except StoreError as error:
            raise ProviderError("failed", str(error)) from error
        return await self._run(pending, wait or 0.0)

    async def check(self, call: str, *, wait: float) -> BananaRun | None:
        """Return the run of that callID or id, after waiting for its end."""
        pending = await self._platform.dispatcher.find(call)
        return None if pending is None else await self._run(pending, wait)

    async def _run(self, pending: PendingCall, wait: float) -> BananaRun:
        outcome, call = await pending.outcome(wait), pending.call
        project = self._platform.projects.get(call.project_id)
        key, created = project.model_key if project is not None else "", int(call.created)
        if outcome is None:
            return BananaRun(call.id, call.run_id, key, created, "running")
        if outcome.error is not None:
            return BananaRun(call.id, call.run_id, key, created, "failed", error=outcome.error)
        try:
            return BananaRun(call.id, call.run_id, key, created, "succeeded", parse(outcome.body))
        except (MalformedJson, TooDeep):
            reason = f"the app answered {outcome.status} without JSON"
            return BananaRun(call.id, call.run_id, key, created, "failed", error=reason)

    def _forget_deployments(self, project: Project, exists: bool) -> None:
        self._revision = -1

    def _write_upload(self, key: str) -> Path | None:
        """Write an uploaded archive into a file and drop it from memory; None where no upload has this key.

        Raises:
            Refused: The archive was built already.
            StoreError: The file cannot be written.
        """
        upload = self._uploads.get(key)
        if upload is None:
            return None
        content, upload.content = upload.content, None
        if content is None:
            raise Refused("the archive is not there any longer: upload it again")
        folder = self._platform.settings.data / "uploads"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{Path(key).name}.part"
        try:
            with open(path, "wb", opener=open_private) as file:
                file.write(content)
        except OSError as error:
            raise StoreError(f"the archive cannot be kept: {error.strerror}") from error
        return path

    def _forget_uploads(self) -> None:
        for key in expired_uploads({key: upload.size or 0 for key, upload in self._uploads.items()}):
            del self._uploads[key]

    def _project(self, project: Project) -> BananaProject:
        return BananaProject(
            id=project.id,
            team_id=self._platform.store.team,
            min_replicas=project.min_replicas,
            max_replicas=project.max_replicas,
            inference_timeout=project.inference_timeout,
            idle_timeout=project.idle_timeout,
            model_key=project.model_key,
            name=project.name,
            slug=project.name,
            created_at=iso(project.created),
            live=project.live,
        )

    def _deployment(self, build: Build, project: Project) -> BananaDeployment:
        return BananaDeployment(
            id=build.id,
            model_key=project.model_key,
            status="failed" if build.state == "cancelled" else build.state,  # Banana knew no cancelled builds
            source=self._platform.source_of(build),
            environment=build.environment,
            created_at=iso(build.created),
            finished_at=None if build.finished is None else iso(build.finished),
            message=build.error or ("cancelled" if build.state == "cancelled" else None),
        )


def _variables(environment: Any) -> dict[str, str]:
    """The environment's variables as text; none where it is no object, as in the document's own example."""
    if not isinstance(environment, dict):
        return {}
    return {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in environment.items()}
