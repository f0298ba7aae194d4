"""A project as a Service of Knative."""

from __future__ import annotations

from typing import Any

from .description import AppDescription, image_with_digest
from .pod_parts import MANAGED, probes, resources, secret_name, variables

__all__ = ["knative"]

WINDOW = (6, 3600)  # seconds that Knative takes for its stable window
TIMEOUT = 600  # seconds that Knative allows by default, max-revision-timeout-seconds of config-defaults
SCALING = "autoscaling.knative.dev"


def knative(app: AppDescription, image: str | None) -> tuple[list[str], list[dict[str, Any]]]:
    """Return comments and documents of a project for Knative.

    Args:
        app: The project.
        image: Its image with the digest; None for the version's own.

    Raises:
        Refused: There is no image that another machine can pull.
    """
    name = image_with_digest(app, image, "--knative")
    container = {
        "name": "app",
        "image": name,
        "ports": [{"name": "http1", "containerPort": app.port}],
        "env": variables(app),
        "resources": resources(app.gpus, app.memory_mb),
        **probes(app),
    }
    annotations = {
        f"{SCALING}/min-scale": str(app.min_replicas),
        f"{SCALING}/max-scale": str(app.max_replicas),
        f"{SCALING}/window": f"{min(WINDOW[1], max(WINDOW[0], app.idle_timeout))}s",
        f"{SCALING}/metric": "concurrency",
        f"{SCALING}/target-utilization-percentage": "100",
        "serving.knative.dev/progress-deadline": f"{app.start_timeout + 60}s",
    }
    template = {
        "metadata": {"annotations": annotations},
        "spec": {
            "containerConcurrency": app.concurrency,
            "timeoutSeconds": app.timeout,
            "containers": [container],
        },
    }
    service = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": app.label, "labels": MANAGED},
        "spec": {"template": template},
    }
    return _comments(app), [service]


def _comments(app: AppDescription) -> list[str]:
    lines = [
        f"{app.name}, version {app.version}, for Knative: kubectl apply -f FILE",
        "The durable queue does not come along: Knative's queue is in memory, and a call is lost with its pod.",
    ]
    if app.secrets:
        keys = " ".join(f"--from-literal={name}=..." for name in app.secrets)
        lines.append(f"Its secrets first: kubectl create secret generic {secret_name(app)} {keys}")
    if app.timeout > TIMEOUT:
        lines.append(
            f'timeoutSeconds needs max-revision-timeout-seconds: "{app.timeout}" in the ConfigMap config-defaults'
        )
    if app.health is None:
        lines.append(
            "No health path is known, so the probes open a connection only: run the app once, or --health PATH."
        )
    if app.labels:
        lines.append(
            f"Here it runs on nodes with {_words(app)}: a nodeSelector needs kubernetes.podspec-nodeselector: enabled."
        )
    return lines


def _words(app: AppDescription) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(app.labels.items()))
