"""A project as a file of Compose."""

from __future__ import annotations

from typing import Any

from ..errors import Refused
from .description import AppDescription, checked_image

__all__ = ["compose"]

CHECK = "import urllib.request; urllib.request.urlopen({url!r}, timeout=5)"
CONNECT = "import socket; socket.create_connection(('127.0.0.1', {port}), 5).close()"


def compose(app: AppDescription, image: str | None) -> tuple[list[str], list[dict[str, Any]]]:
    """Return comments and the document of a project for Compose.

    Args:
        app: The project.
        image: Its image; None for the version's own.

    Raises:
        Refused: There is no image.
    """
    name = checked_image(image) if image else app.image
    if name is None:
        raise Refused(
            f"{app.name} runs as a process and has no image. Build one from its Dockerfile first: docker build -t "
            f"{app.label} ., then bananastand export {app.name} --compose --image {app.label}"
        )
    url = f"http://127.0.0.1:{app.port}{app.health}"
    check = CHECK.format(url=url) if app.health else CONNECT.format(port=app.port)
    service: dict[str, Any] = {
        "image": name,
        "ports": [f"127.0.0.1:{app.port}:{app.port}"],
        "environment": {
            **{name: _literal(value) for name, value in sorted(app.environment.items())},
            **{name: f"${{{name}:?export {name} first}}" for name in app.secrets},
        },
        "healthcheck": {
            "test": ["CMD", "python3", "-c", _literal(check)],
            "interval": "10s",
            "timeout": "10s",
            "retries": 3,
            "start_period": f"{app.start_timeout}s",
        },
        "restart": "unless-stopped",
        "stop_grace_period": "35s",
    }
    limits = _limits(app)
    if limits:
        service["deploy"] = {"resources": limits}
    return _comments(app), [{"services": {app.label: service}}]


def _literal(text: str) -> str:
    """Return a text in which Compose replaces no variables."""
    return text.replace("$", "$$")


def _limits(app: AppDescription) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    if app.memory_mb is not None:
        limits["limits"] = {"memory": f"{app.memory_mb}M"}
    if app.gpus:
        devices = [{"driver": "nvidia", "count": app.gpus, "capabilities": ["gpu"]}]
        limits["reservations"] = {"devices": devices}
    return limits


def _comments(app: AppDescription) -> list[str]:
    lines = [
        f"{app.name}, version {app.version}, for Compose: docker compose -f FILE up",
        f"One replica that always runs, at http://127.0.0.1:{app.port}. The durable queue, scaling and API keys do not",
        f"come along. It takes {app.concurrency} calls at once here; what more arrives is the app's own affair.",
    ]
    if app.secrets:
        lines.append(f"Its secrets come from your shell: export {' '.join(f'{name}=...' for name in app.secrets)}")
    if app.health is None:
        lines.append(
            "No health path is known, so the check opens a connection only: run the app once, or --health PATH."
        )
    return lines
