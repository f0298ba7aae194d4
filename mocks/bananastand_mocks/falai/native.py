"""fal's own names for what document C calls otherwise: endpoint_id, cursor, start and end, expand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall, EndpointFunction
from ..kernel.world import World
from . import compute
from .analytics import METRICS, metrics_row
from .description import openapi_document
from .models import PAGE, search_models, serialize_model
from .paging import page, single_page
from .pricing import serialize_price
from .state import catalogue, count, find_model, instances, key_id, setting
from .tallies import total
from .usage import Serialize, requested_range, rows, series, usage_row
from .window import Window, moment

__all__ = [
    "ENDPOINTS",
    "create_instance",
    "delete_instance",
    "estimate_pricing",
    "get_analytics",
    "get_instance",
    "get_pricing",
    "get_usage",
    "list_instances",
    "list_models",
]

MOST_IDS = 50
KEY_NAME = "Key 1"  # the label of the world's one key
NO_ENDPOINT = ""  # an id that no endpoint has
REMEMBERED = 600.0  # seconds that an Idempotency-Key is
IDEMPOTENCY = "falai.idempotency"
STATUSES = {
    "provisioning": "provisioning",
    "starting": "pending",
    "active": "ready",
    "stopping": "stopped",
    "stopped": "stopped",
}
FIELDS = ("id", "instance_type", "region", "sector", "ip", "creator_user_nickname")

Parameters = dict[str, Any]


def list_models(call: ApiCall, parameters: Parameters) -> dict[str, Any]:
    """Models by id, text, category and status, a page at a time. Raises ProviderError: invalid."""
    endpoint_ids = _endpoint_ids(parameters)
    models = [
        row for row in search_models(catalogue().values(), parameters.get("q", ""))
        if (not endpoint_ids or row["endpoint_id"] in endpoint_ids)
        and parameters.get("category") in (None, row["category"])
        and parameters.get("status") in (None, row.get("status", "active"))
    ]  # fmt: skip
    expand = _split(parameters, "expand")

    def serialize(row: Mapping[str, Any]) -> dict[str, Any]:
        return {**serialize_model(row, favourites=call.credential is not None), **_expanded(row, expand)}

    return page(len(models), parameters, PAGE).to_response("models", models, serialize)


def get_pricing(world: World, parameters: Parameters) -> dict[str, Any]:
    """Prices in the order of the ids. Raises ProviderError: invalid, not_found."""
    models = [find_model(endpoint_id) for endpoint_id in _endpoint_ids(parameters)]
    if not models:
        raise ProviderError("invalid", "endpoint_id is empty")
    for row in models:
        count(world, row["endpoint_id"])
    return single_page(len(models)).to_response("prices", models, serialize_price)


def estimate_pricing(body: dict[str, Any]) -> dict[str, Any]:
    """The sum of unit price times quantity. Raises ProviderError: not_found.

    No history of real calls is known here, so a call counts as one unit.
    """
    unit = "call_quantity" if body["estimate_type"] == "historical_api_price" else "unit_quantity"
    prices = ((find_model(name)["unit_price"], quantities[unit]) for name, quantities in body["endpoints"].items())
    return {
        "estimate_type": body["estimate_type"],
        "total_cost": round(sum(price * quantity for price, quantity in prices), 6),
        "currency": "USD",
    }


def get_usage(world: World, parameters: Parameters) -> dict[str, Any]:
    """Quantities and costs, all of them by the world's one key. Raises ProviderError: invalid, forbidden."""
    _require_admin(world)
    expand = _split(parameters, "expand") or ["time_series"]
    key = key_id(world)
    method: dict[str, Any] = {}
    if "auth_method" in expand:
        method["auth_method"] = KEY_NAME
    if "auth_method_structured" in expand:
        method["auth_method_structured"] = {"detail": KEY_NAME, "api_key_id": key}
    keys, logins = _ids(parameters, "api_key_id"), _ids(parameters, "login_username")
    is_other = bool(logins) or (bool(keys) and key not in keys)  # nothing is used by logging in
    endpoint_ids = {NO_ENDPOINT} if is_other else set(_endpoint_ids(parameters))
    return _respond(world, parameters, expand, endpoint_ids, lambda name, tally: {**usage_row(name, tally), **method})


def get_analytics(world: World, parameters: Parameters) -> dict[str, Any]:
    """The metrics that `expand` names. Raises ProviderError: invalid, forbidden, not_found."""
    _require_admin(world)
    for endpoint_id in _endpoint_ids(parameters):
        find_model(endpoint_id)
    expand = _split(parameters, "expand") or ["time_series", "request_count"]
    metrics = [name for name in expand if name not in ("time_series", "summary")]
    if unknown := set(metrics) - METRICS.keys():
        raise ProviderError("invalid", f"no metric {min(unknown)}")
    if not metrics:
        raise ProviderError("invalid", "expand names no metric")
    endpoint_ids = set(_endpoint_ids(parameters))
    return _respond(world, parameters, expand, endpoint_ids, lambda name, tally: metrics_row(name, tally, metrics))


def list_instances(world: World, parameters: Parameters) -> dict[str, Any]:
    """A page of instances. Raises ProviderError: forbidden."""
    _require_admin(world)
    ids = list(instances(world))

    def serialize(instance_id: str) -> dict[str, Any]:
        return _serialize_instance(compute.get_instance(world, {"instance_id": instance_id}))

    return page(len(ids), parameters, compute.PAGE).to_response("instances", ids, serialize)


def create_instance(world: World, parameters: Parameters, body: dict[str, Any]) -> ApiResponse:
    """A new instance, or the first answer to the same Idempotency-Key. Raises ProviderError: forbidden."""
    _require_admin(world)
    now, remembered = world.clock.now(), world.table(IDEMPOTENCY)
    while remembered and remembered[next(iter(remembered))]["at"] + REMEMBERED <= now:
        del remembered[next(iter(remembered))]
    key = parameters.get("idempotency-key")
    if key in remembered:
        return ApiResponse(remembered[key]["answer"], 201)
    answer = _serialize_instance(compute.create_instance(world, body).body)
    if key is not None:
        remembered[key] = {"at": now, "answer": answer}
    return ApiResponse(answer, 201)


def get_instance(world: World, parameters: Parameters) -> dict[str, Any]:
    """One instance. Raises ProviderError: forbidden, not_found."""
    _require_admin(world)
    return _serialize_instance(compute.get_instance(world, {"instance_id": parameters["id"]}))


def delete_instance(world: World, parameters: Parameters) -> ApiResponse:
    """The instance is gone; 204 without a body. Raises ProviderError: forbidden, not_found."""
    _require_admin(world)
    return compute.delete_instance(world, {"instance_id": parameters["id"]})


ENDPOINTS: Mapping[str, EndpointFunction] = {
    "list_models": list_models,
    "get_pricing": get_pricing,
    "estimate_pricing": estimate_pricing,
    "get_usage": get_usage,
    "get_analytics": get_analytics,
    "list_instances": list_instances,
    "create_instance": create_instance,
    "get_instance": get_instance,
    "delete_instance": delete_instance,
}


def _respond(
    world: World, parameters: Parameters, expand: list[str], endpoint_ids: set[str], serialize: Serialize
) -> dict[str, Any]:
    """The parts that `expand` names, of which one must be time_series or summary; all endpoints if there are no ids."""
    if not {"time_series", "summary"} & set(expand):
        raise ProviderError("invalid", "expand needs time_series or summary")
    window = _requested_window(world, parameters)
    answer: dict[str, Any] = {"next_cursor": None, "has_more": False}
    if "time_series" in expand:
        answer |= series(world, window, parameters, endpoint_ids, serialize)
    if "summary" in expand:
        answer["summary"] = rows(total(world, window), endpoint_ids, serialize)
    return answer


def _requested_window(world: World, parameters: Parameters) -> Window:
    try:
        zone = ZoneInfo(parameters.get("timezone", "UTC"))
    except (ValueError, OSError, KeyError):
        raise ProviderError("invalid", "no such timezone") from None
    ends = [moment(parameters[name], zone) if name in parameters else None for name in ("start", "end")]
    start, end, open_end = requested_range(world, *ends)
    bound = parameters.get("bound_to_timeframe", "true") == "true"
    return Window(start, end, parameters.get("timeframe"), zone, bound=bound, open_end=open_end)


def _endpoint_ids(parameters: Parameters) -> list[str]:
    """Return each endpoint_id once. Raises ProviderError: invalid, for more than 50."""
    return _ids(parameters, "endpoint_id")


def _ids(parameters: Parameters, name: str) -> list[str]:
    """Return each id of a parameter once. Raises ProviderError: invalid, for more than 50."""
    ids = _split(parameters, name)
    if len(ids) > MOST_IDS:
        raise ProviderError("invalid", f"more than {MOST_IDS} ids")
    return ids


def _split(parameters: Parameters, name: str) -> list[str]:
    """The values of a parameter that may be repeated or separated by commas, each once."""
    parts = [part for value in parameters.get(name, []) for part in value.split(",") if part]
    return list(dict.fromkeys(parts))


def _expanded(row: Mapping[str, Any], expand: list[str]) -> dict[str, Any]:
    """What `expand` adds to a model."""
    added: dict[str, Any] = {}
    if "openapi-3.0" in expand:
        added["openapi"] = openapi_document(row)
    if "enterprise_status" in expand:
        added["enterprise_status"] = "ready"
    return added


def _serialize_instance(instance: dict[str, Any]) -> dict[str, Any]:
    """An instance in fal's own words."""
    fields = {name: instance[name] for name in FIELDS if name in instance}
    return {**fields, "status": STATUSES[instance["status"]]}


def _require_admin(world: World) -> None:
    """Usage, analytics and compute need an admin's key; a world's setting says whether its key is one."""
    if not setting(world, "falai.admin_key"):
        raise ProviderError("forbidden")
