"""Parts of a Kubernetes pod that several exports have."""

from __future__ import annotations

from typing import Any

from .description import AppDescription

__all__ = ["MANAGED", "probes", "resources", "secret_name", "variables"]

MANAGED = {"app.kubernetes.io/managed-by": "bananastand"}
RESERVED = ("PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION")  # Knative sets these itself
STARTUP_PERIOD = 2  # seconds between two probes while the app starts


def secret_name(app: AppDescription) -> str:
    """Return the name of the Secret that has the app's secret variables."""
    return f"{app.label}-secrets"


def variables(app: AppDescription) -> list[dict[str, Any]]:
    """Return the container's environment: values, and references to secret ones."""
    plain = [
        {"name": name, "value": value.replace("$(", "$$(")}
        for name, value in sorted(app.environment.items())
        if name not in (*RESERVED, *app.secrets)
    ]
    secret = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret_name(app), "key": name}}} for name in app.secrets
    ]
    return [*plain, *secret]


def resources(gpus: int, memory_mb: int | None) -> dict[str, Any]:
    """Return limits and requests of a container."""
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    if memory_mb is not None:
        limits["memory"] = f"{memory_mb}Mi"
    return {"requests": {"cpu": "1", **limits}, "limits": limits} if limits else {"requests": {"cpu": "1"}}


def probes(app: AppDescription) -> dict[str, Any]:
    """Return the probes of the app: by its health path, else by a connection to its port."""
    check: dict[str, Any] = (
        {"httpGet": {"path": app.health, "port": app.port}} if app.health else {"tcpSocket": {"port": app.port}}
    )
    failures = max(1, -(-app.start_timeout // STARTUP_PERIOD))
    return {
        "startupProbe": {**check, "periodSeconds": STARTUP_PERIOD, "failureThreshold": failures},
        "readinessProbe": {**check, "periodSeconds": 5, "failureThreshold": 3},
    }
