"""The models of the catalogue (C:34-88)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..kernel.world import World
from .paging import page
from .state import catalogue, count, find_model

__all__ = ["PAGE", "serialize_model", "search_models", "get_model", "list_models"]

PAGE = 50

Model = Mapping[str, Any]


def list_models(parameters: dict[str, Any]) -> dict[str, Any]:
    """Models by `search`, a page of them by `limit`, `offset` or `cursor` (C:51-53)."""
    rows = search_models(catalogue().values(), parameters.get("search", ""))
    return page(len(rows), parameters, PAGE).to_response("models", rows, serialize_model)


def get_model(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """One model with its metadata, capabilities and configuration (C:74). Raises ProviderError: not_found."""
    row = find_model(parameters["model_id"])
    count(world, row["endpoint_id"])
    return {
        **serialize_model(row),
        "capabilities": row["capabilities"],
        "configuration": row["configuration"],
    }


def search_models(rows: Iterable[Model], search: str) -> list[Model]:
    """The models with the text in their id, name or description, in any case of letters (C:53)."""
    text = search.casefold()
    return [
        row for row in rows
        if text in f"{row['endpoint_id']}\n{row['display_name']}\n{row['description']}".casefold()
    ]  # fmt: skip


def serialize_model(row: Model, *, favourites: bool = True) -> dict[str, Any]:
    """A model as fal shows it; whether it is a favourite is null for a caller without a key."""
    endpoint_id = row["endpoint_id"]
    return {
        "endpoint_id": endpoint_id,
        "metadata": {
            "display_name": row["display_name"],
            "category": row["category"],
            "description": row["description"],
            "status": row.get("status", "active"),
            "tags": row["tags"],
            "updated_at": row["date"],
            "is_favorited": False if favourites else None,
            "thumbnail_url": f"https://fal.media/files/{endpoint_id}/thumbnail.png",
            "model_url": f"https://fal.run/{endpoint_id}",
            "date": row["date"],
            "highlighted": False,  # fal: deprecated, always false
            "pinned": False,
            "license_type": row["license_type"],
            "kind": row.get("kind", "inference"),
            **row.get("metadata", {}),
        },
    }
