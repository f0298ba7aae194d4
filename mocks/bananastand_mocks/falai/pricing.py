"""Prices of models (C:92-117) and of instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..kernel.world import World
from .paging import single_page
from .state import catalogue, count, find_model

__all__ = ["get_pricing", "hourly", "serialize_price"]

HOURLY = {"gpu_8x_h100_sxm5": 15.12, "gpu_1x_h100_sxm5": 1.89}
OTHER_HOURLY = 1.2
TIERS = ((0, 1.0), (10_000, 0.9))  # from this quantity on, this part of the unit price


def get_pricing(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    """The price of one model, or of all of them (C:109). Raises ProviderError: not_found."""
    model_id = parameters.get("model_id")
    rows = list(catalogue().values()) if model_id is None else [find_model(model_id)]
    if model_id is not None:
        count(world, model_id)

    def serialize(row: Mapping[str, Any]) -> dict[str, Any]:
        return {**serialize_price(row), **_documented_fields(row)}

    return single_page(len(rows)).to_response("prices", rows, serialize)


def serialize_price(row: Mapping[str, Any]) -> dict[str, Any]:
    """A price as fal's own API gives it."""
    return {
        "endpoint_id": row["endpoint_id"],
        "unit_price": row["unit_price"],
        "unit": row["unit"],
        "currency": "USD",
    }


def hourly(instance_type: str) -> float:
    """USD for an hour of an instance; types of fal's own have their own price."""
    return HOURLY.get(instance_type, OTHER_HOURLY)


def _documented_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    """Cost per request, usage tiers and billing details, which C:103 names and fal's own API does not have."""
    unit_price = row["unit_price"]
    return {
        "cost_per_request": unit_price,
        "usage_tiers": [
            {"from_quantity": quantity, "unit_price": round(unit_price * part, 6)} for quantity, part in TIERS
        ],
        "billing": {"model": "pay_per_use", "period": "month"},
    }
