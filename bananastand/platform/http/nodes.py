"""The routes of the platform's own API for nodes: their state, and taking one out of use."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import FastAPI

from ..draining import drain_node
from ..platform import Platform

__all__ = ["add_node_routes"]


def add_node_routes(app: FastAPI, platform: Platform, prefix: str) -> None:
    """Add GET nodes, and POST drain, cordon and uncordon of one."""
    nodes = platform.pool.nodes

    @app.get(f"{prefix}/nodes")
    async def list_nodes() -> Any:
        return {"nodes": [asdict(state) for state in nodes.states()]}

    @app.post(f"{prefix}/nodes/{{name}}/drain")
    async def drain(name: str) -> Any:
        return {"node": name, "leaving": drain_node(platform.pool, platform.projects, name)}

    @app.post(f"{prefix}/nodes/{{name}}/cordon")
    async def cordon(name: str) -> Any:
        nodes.cordon(name, True)
        return {"node": name, "is_cordoned": True}

    @app.post(f"{prefix}/nodes/{{name}}/uncordon")
    async def uncordon(name: str) -> Any:
        nodes.cordon(name, False)
        return {"node": name, "is_cordoned": False}
