"""The route of the platform's own API that exports a project."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ..export.description import describe_app
from ..export.export import export
from ..platform import Platform

__all__ = ["add_export_routes"]


def add_export_routes(app: FastAPI, platform: Platform, prefix: str) -> None:
    """Add GET projects/NAME/export/FORMAT, with `image` and `health`."""

    @app.get(f"{prefix}/projects/{{name}}/export/{{format}}")
    async def export_project(name: str, format: str, image: str | None = None, health: str | None = None) -> Any:
        described = describe_app(platform, platform.projects.named(name))
        return {"format": format, "yaml": export(described, format, image=image, health=health)}
