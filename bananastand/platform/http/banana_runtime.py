"""The local Banana as a runtime behind Banana's APIs: what `bananastand_mocks.bananadev` asks, the stand does.

The APIs' world holds a picture of the stand's projects, builds and usage, kept up to date here, because the endpoints
read them there. Nothing of a run is in the world.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.json_body import MalformedJson, TooDeep, dump, parse
from bananastand_mocks.bananadev import state
from bananastand_mocks.bananadev.runtime import Run
from bananastand_mocks.kernel.world import World

from ..errors import PlatformError, Refused, StoreError, TooBusy
from ..platform import Platform
from ..scheduling.pending_call import PendingCall
from ..store.builds import Build
from ..store.calls import Outcome
from ..store.logs import iso
from ..store.private_files import open_private
from ..store.projects import Project
from ..store.storable import check_text

__all__ = ["PlatformRuntime"]

SETTINGS = {"minReplicas": "min_replicas", "maxReplicas": "max_replicas", "inferenceTimeout": "inference_timeout",
            "idleTimeout": "idle_timeout"}  # fmt: skip
STATUSES = {"cancelled": "failed"}  # Banana knew no cancelled builds


class PlatformRuntime:
    """Really builds and runs. `attach` it to the world before the first call. Run URLs are answered elsewhere."""

    def __init__(self, stand: Platform) -> None:
        self._stand = stand

    def attach(self, world: World) -> None:
        """Show the stand in this world from now on. Keys are shown by their ids: the secrets are not known here."""
        stand = self._stand
        state.account(world).update(id=stand.store.id, teamId=stand.store.team, plan="self-hosted")
        state.account(world).update(teamName="local", email="local@localhost")
        world.tables["bananadev.models"] = _ByName()
        for project in stand.projects.list():
            self._show_project(world, project, True)
            for build in reversed(stand.builds.list(project)):
                self._show_build(world, build)
        for day, key, runs, succeeded, failed, seconds, cold in stand.calls.usage():
            state.usage_rows(world)[f"{day} {key}"] = {
                "runs": runs, "succeeded": succeeded, "failed": failed, "computeSeconds": seconds, "coldStarts": cold,
            }  # fmt: skip
        stand.projects.changed.append(lambda project, there: self._show_project(world, project, there))
        stand.builds.changed.append(lambda build: self._show_build(world, build))
        stand.dispatcher.ended.append(lambda pending, outcome, seconds: self._count(world, pending, outcome, seconds))
        stand.keys.changed.append(lambda: self._show_keys(world))
        self._show_keys(world)

    def opens(self, kind: str, secret: str) -> bool:
        """Whether this is a valid key of the stand, as Banana or LowCodeAPI wants it."""
        return kind in ("banana", "lowcodeapi") and self._stand.keys.find(secret) is not None

    async def submit(self, world: World, model_key: str, inputs: Any, *, id: str | None, wait: float | None) -> Run:
        """Queue a run for the app's root handler. Raises ProviderError: model_not_found, failed."""
        project = self._stand.projects.find(model_key)
        if project is None:
            raise ProviderError("model_not_found")
        try:
            pending = await self._stand.submit(project, "/", dump(inputs), run_id=id)
        except TooBusy as error:
            raise ProviderError("queue_full", str(error), retry_after=error.retry_after) from error
        except Refused as error:
            raise ProviderError("violation", str(error)) from error
        except StoreError as error:
            raise ProviderError("failed", str(error)) from error
        return await self._run(pending, wait or 0.0)

    async def check(self, world: World, call: str, *, wait: float) -> Run | None:
        """The run of that callID or id, waited for."""
        pending = await self._stand.dispatcher.find(call)
        return None if pending is None else await self._run(pending, wait)

    async def cancel(self, world: World, call: str) -> bool:
        """Call a run off."""
        return await self._stand.dispatcher.cancel(call)

    def deploy(self, world: World, model_key: str, source: str, environment: Any) -> str:
        """Queue a build of a git URL, a local path, an image, or an upload. Raises ProviderError: violation, failed."""
        stand = self._stand
        project, made = stand.projects.find(model_key), None
        try:
            check_text("modelKey", model_key)
            named = _named(environment)
            if project is None:
                project = made = stand.projects.create(stand.projects.free_name(model_key), model_key=model_key)
            archive = self._upload(world, source)
            try:
                return stand.deploy(project.name, source, environment=named, archive=archive).id
            except PlatformError:
                if made is not None:
                    stand.projects.remove(made)
                raise
        except StoreError as error:
            raise ProviderError("failed", str(error)) from error
        except PlatformError as error:
            raise ProviderError("violation", str(error)) from error

    def list(self, world: World) -> list[state.Row]:
        """All projects, oldest first."""
        return list(state.models(world).values())

    def create(self, world: World, name: str) -> state.Row:
        """A new project; a name that is taken gets a suffix."""
        try:
            project = self._stand.projects.create(self._stand.projects.free_name(name))
        except StoreError as error:
            raise ProviderError("failed", str(error)) from error
        return state.models(world)[project.model_key]

    def change(self, world: World, row: state.Row, changes: state.Row) -> state.Row:
        """Other settings. Raises ProviderError: violation, failed."""
        project = self._stand.projects.named(row["id"])
        try:
            self._stand.projects.change(project, {SETTINGS[key]: changes[key] for key in changes if key in SETTINGS})
        except StoreError as error:
            raise ProviderError("failed", str(error)) from error
        except Refused as error:
            raise ProviderError("violation", str(error)) from error
        return state.models(world)[project.model_key]

    def log_lines(self, world: World, build: str) -> list[state.Row]:
        """What a build has said so far."""
        try:
            log = self._stand.deployer.log(self._stand.builds.get(build))
        except PlatformError:
            return []
        return [{"t": each["time"], "m": each["line"]} for each in log.lines()]

    async def _run(self, pending: PendingCall, wait: float) -> Run:
        outcome, call = await pending.outcome(wait), pending.made
        project = self._stand.projects.get(call.project_id)
        key, created = project.model_key if project is not None else "", int(call.created)
        if outcome is None:
            return Run(call.id, call.run_id, key, created, "running")
        if outcome.error is not None:
            return Run(call.id, call.run_id, key, created, "failed", error=outcome.error)
        try:
            return Run(call.id, call.run_id, key, created, "succeeded", parse(outcome.body))
        except (MalformedJson, TooDeep):
            reason = f"the app answered {outcome.status} without JSON"
            return Run(call.id, call.run_id, key, created, "failed", error=reason)

    def _upload(self, world: World, source: str) -> Path | None:
        """The archive that was put under this key, as a file; the world's own copy goes."""
        upload = world.table("bananadev.uploads").get(source)
        if upload is None:
            return None
        content = world.blobs.pop(f"bananadev/{source}", None)
        if content is None:
            raise Refused("the archive is not there any longer: upload it again")
        folder = self._stand.settings.data / "uploads"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{Path(source).name}.part"
        try:
            with open(path, "wb", opener=open_private) as file:
                file.write(content)
        except OSError as error:
            raise StoreError(f"the archive cannot be kept: {error.strerror}") from error
        return path

    def _show_keys(self, world: World) -> None:
        """The account shows how many there are."""
        world.credentials["banana"] = self._stand.keys.ids

    def _show_project(self, world: World, project: Project, there: bool) -> None:
        if not there:
            state.models(world).pop(project.model_key, None)
            for key, row in list(state.deployments(world).items()):
                if row["modelKey"] == project.model_key:
                    del state.deployments(world)[key]
            return
        state.models(world)[project.model_key] = {
            "id": project.id,
            "teamId": self._stand.store.team,
            **{theirs: getattr(project, ours) for theirs, ours in SETTINGS.items()},
            "modelKey": project.model_key,
            "name": project.name,
            "slug": project.name,
            "createdAt": iso(project.created),
            "lastRun": None,
            "live": project.live,
        }

    def _show_build(self, world: World, build: Build) -> None:
        project = self._stand.projects.get(build.project_id)
        if project is None:
            return
        row: state.Row = {
            "modelKey": project.model_key,
            "status": STATUSES.get(build.state, build.state),
            "source": self._stand.source_of(build),
            "environment": build.environment,
            "createdAt": iso(build.created),
            "failure": None,
        }
        if build.finished is not None:
            row["finishedAt"] = iso(build.finished)
        if build.error is not None or build.state == "cancelled":
            row["message"] = build.error or "cancelled"
        state.deployments(world)[build.id] = row

    def _count(self, world: World, pending: PendingCall, outcome: Outcome, seconds: float) -> None:
        project = self._stand.projects.get(pending.made.project_id)
        if project is not None:
            good, cold = outcome.error is None, pending.made.cold
            state.count_run(world, project.model_key, succeeded=good, seconds=round(seconds, 3), cold=cold)


class _ByName(dict[str, state.Row]):
    """Models by their key, found by name too."""

    def get(self, key: str, default: Any = None) -> Any:
        """A name works wherever a key does."""
        if key in self:
            return self[key]
        return next((row for row in self.values() if row["slug"] == key), default)


def _named(environment: Any) -> dict[str, str]:
    """The document's own example sends a string for the environment: that is none."""
    if not isinstance(environment, dict):
        return {}
    return {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in environment.items()}
