"""What an export needs to know of a project."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import Refused

if TYPE_CHECKING:
    from ..platform import Platform
    from ..store.projects import Project

__all__ = ["AppDescription", "checked_image", "describe_app", "image_with_digest", "label_of"]

PORT = 8000  # Banana's
DIGEST = re.compile(r"[a-z0-9][\w./:-]*@sha256:[0-9a-f]{64}", re.ASCII)
IMAGE = re.compile(r"[a-z0-9][\w./:-]*(@sha256:[0-9a-f]{64})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class AppDescription:
    """A project as another system is to run it. Times are in seconds.

    Attributes:
        name: The project's name.
        version: The id of its live version.
        kind: Of the version, "process" or "container".
        image: The image of a container as its engine names it; None for a process.
        port: Where the app listens.
        health: The path that answers 200 when the app is ready; None if none is known.
        environment: Variables of the deploy.
        secrets: Names of its secret variables.
        concurrency: Calls at once in a replica.
        timeout: Of a call.
        start_timeout: Of a replica's start.
        idle_timeout: Without a call, after which a replica stops.
        gpus: GPUs of a replica.
        memory_mb: The memory that a replica may hold, in MiB; None for no limit.
        labels: Labels that its node has.
    """

    name: str
    version: str
    kind: str
    image: str | None
    port: int
    health: str | None
    environment: Mapping[str, str]
    secrets: tuple[str, ...]
    concurrency: int
    timeout: int
    start_timeout: int
    min_replicas: int
    max_replicas: int
    idle_timeout: int
    gpus: int
    memory_mb: int | None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def label(self) -> str:
        """The name as DNS and Kubernetes take it."""
        return label_of(self.name)


def describe_app(platform: Platform, project: Project) -> AppDescription:
    """Describe the live version of a project. Raises Refused if there is none."""
    deployment = platform.builds.deployment(project.live) if project.live else None
    if deployment is None:
        raise Refused(f"{project.name} has no live version to export: deploy it first, with bananastand deploy")
    build, launch = platform.builds.get(deployment.id), deployment.launch
    resources = project.resources(platform.settings.memory_mb)
    found = (replica.health_path for replica in platform.pool.of_project(project.id) if replica.state == "ready")
    gpus = resources.gpus if resources.gpus is not None else int(bool(platform.settings.gpus))
    return AppDescription(
        name=project.name,
        version=deployment.id,
        kind=launch.kind,
        image=launch.image,
        port=launch.port or PORT,
        health=launch.health or next((path for path in found if path is not None), None),
        environment=build.environment,
        secrets=tuple(sorted(build.secrets)),
        concurrency=platform.builds.concurrency_of(project),
        timeout=project.inference_timeout,
        start_timeout=math.ceil(platform.settings.start_timeout),
        min_replicas=project.min_replicas,
        max_replicas=project.max_replicas,
        idle_timeout=project.idle_timeout,
        gpus=math.ceil(gpus),
        memory_mb=resources.memory_mb,
        labels=resources.labels,
    )


def image_with_digest(app: AppDescription, image: str | None, option: str) -> str:
    """Return the image to export, as REGISTRY/NAME@sha256:DIGEST.

    Args:
        app: The project.
        image: What the user names; None for the image of the version.
        option: The export's option, for advice.

    Raises:
        Refused: There is no image that another machine can pull; the text says how to make one.
    """
    name = image or app.image
    if name is not None and DIGEST.fullmatch(name):
        return name
    if image is not None:
        raise Refused(
            f"--image takes an image with its digest, as REGISTRY/NAME@sha256:..., not {image}: a tag may name another "
            "image tomorrow. docker push prints the digest"
        )
    target = f"REGISTRY/{app.label}"
    again = f"then bananastand export {app.name} {option} --image {target}@sha256:... (docker push prints the digest)"
    if app.image is None:
        raise Refused(
            f"{app.name} runs as a process and has no image. Build one from its Dockerfile first: docker build -t "
            f"{target} . && docker push {target}, {again}"
        )
    raise Refused(
        f"the image of {app.name} is on this machine alone. Push it first: docker tag {app.image} {target} && docker "
        f"push {target}, {again}"
    )


def checked_image(image: str) -> str:
    """Return an image's name. Raises Refused if it is none."""
    if not IMAGE.fullmatch(image):
        raise Refused(f"--image: {image[:200]!r} is no name of an image, such as registry.example/my-app:1")
    return image


def label_of(name: str) -> str:
    """Return a project's name as Kubernetes takes it: small letters, digits and -, a letter first.

    >>> label_of("my_app"), label_of("2dogs")
    ('my-app', 'app-2dogs')
    """
    label = name.replace("_", "-").strip("-")
    return (label if label[:1].isalpha() else f"app-{label}")[:50].rstrip("-")
