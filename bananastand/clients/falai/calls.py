"""The calls of fal.ai behind LowCodeAPI: one function for each operation, and the flows that take several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from ..call import Book, Call, Flow, Session, given
from ..waiting import POLL, wait
from .answers import (
    Analytics,
    Batch,
    Instance,
    InstanceList,
    Metric,
    Model,
    ModelDetail,
    ModelList,
    Monitoring,
    Page,
    Pricing,
    Reading,
    Status,
    Usage,
)

__all__ = [
    "batch",
    "create_instance",
    "delete_instance",
    "each_instance",
    "each_model",
    "get_analytics",
    "get_instance",
    "get_model",
    "get_pricing",
    "get_usage",
    "list_instances",
    "list_models",
    "monitor_instance",
    "start_instance",
    "stop_instance",
    "wait_for_instance",
]


def list_models(
    *, limit: int | None = None, offset: int | None = None, search: str | None = None, cursor: str | None = None
) -> Call[ModelList]:
    """A page of the catalogue; `search` is looked for in name and description."""
    return Call(ModelList, "GET", "/v1/models", given(limit=limit, offset=offset, search=search, cursor=cursor))


def get_model(model_id: str) -> Call[ModelDetail]:
    """One model with its capabilities and configuration."""
    return Call(ModelDetail, "GET", "/v1/models/model_id", {"model_id": model_id})


def get_pricing(*, model_id: str | None = None) -> Call[Pricing]:
    """The price of one model, or every price."""
    return Call(Pricing, "GET", "/v1/pricing", {"model_id": model_id})


def get_usage(
    *, start_date: str | None = None, end_date: str | None = None, model_id: str | None = None
) -> Call[Usage]:
    """Requests and costs between two dates (ISO 8601)."""
    return Call(Usage, "GET", "/v1/usage", given(start_date=start_date, end_date=end_date, model_id=model_id))


def get_analytics(
    *,
    start_date: str | None = None,
    end_date: str | None = None,
    metric: Metric | None = None,
    model_id: str | None = None,
    cursor: str | None = None,
) -> Call[Analytics]:
    """A metric, or all of them, between two dates (ISO 8601)."""
    query = given(start_date=start_date, end_date=end_date, metric=metric, model_id=model_id, cursor=cursor)
    return Call(Analytics, "GET", "/v1/analytics", query)


def list_instances(
    *, status: Status | None = None, limit: int | None = None, offset: int | None = None, cursor: str | None = None
) -> Call[InstanceList]:
    """A page of your compute instances."""
    query = given(status=status, limit=limit, offset=offset, cursor=cursor)
    return Call(InstanceList, "GET", "/v1/compute/instances", query)


def create_instance(
    instance_type: str, *, name: str | None = None, config: Mapping[str, Any] | None = None
) -> Call[Instance]:
    """Create a compute instance; it is `active` some time later."""
    body = given(instance_type=instance_type, name=name, config=config)
    return Call(Instance, "POST", "/v1/compute/instances", json=body)


def get_instance(instance_id: str) -> Call[Instance]:
    """An instance as it stands."""
    return Call(Instance, "GET", "/v1/compute/instances/instance_id", {"instance_id": instance_id})


def delete_instance(instance_id: str) -> Call[Literal[""]]:
    """Delete an instance."""
    query = {"instance_id": instance_id}
    return Call(Literal[""], "DELETE", "/v1/compute/instances/instance_id", query, idempotent=True)


def start_instance(instance_id: str) -> Call[Instance]:
    """Start a stopped instance."""
    return Call(Instance, "POST", "/v1/compute/instances/instance_id/start", {"instance_id": instance_id})


def stop_instance(instance_id: str) -> Call[Instance]:
    """Stop an active instance."""
    return Call(Instance, "POST", "/v1/compute/instances/instance_id/stop", {"instance_id": instance_id})


def monitor_instance(instance_id: str, *, metrics: Sequence[Reading] = ()) -> Call[Monitoring]:
    """What an instance is busy with; by default all metrics."""
    query = given(instance_id=instance_id, metrics=",".join(metrics) or None)
    return Call(Monitoring, "GET", "/v1/compute/instances/instance_id/monitor", query)


def batch(requests: Sequence[Mapping[str, Any]]) -> Call[Batch]:
    """Several requests in one: each of `method`, `path` and, where it has them, `params` (its query) and `body`."""
    return Call(Batch, "POST", "/v1/batch", json={"requests": [dict(request) for request in requests]})


def each_model(*, search: str | None = None, limit: int | None = None) -> Book[Model]:
    """The whole catalogue, `limit` to a page."""
    return Book(list_models(search=search, limit=limit), lambda page: page.models, _following)


def each_instance(*, status: Status | None = None, limit: int | None = None) -> Book[Instance]:
    """All your instances, `limit` to a page."""
    return Book(list_instances(status=status, limit=limit), lambda page: page.instances, _following)


def _following(call: Call[Any], page: Page) -> Call[Any] | None:
    if not page.has_more or page.next_cursor in (None, call.query.get("cursor")):
        return None
    return replace(call, query={**call.query, "cursor": page.next_cursor})


def wait_for_instance(
    session: Session,
    instance_id: str,
    status: Status = "active",
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[Instance], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[Instance]:
    """Look at an instance every `poll` seconds until it has that status.

    Raises DeadlineExceeded after `deadline` seconds, CallCancelled once `cancelled` is true.
    """
    return wait(
        session,
        get_instance(instance_id),
        lambda instance: instance.status == status,
        lambda instance: f"instance {instance_id} is {instance.status if instance else 'not seen'}",
        poll=poll,
        deadline=deadline,
        on_check=on_check,
        cancelled=cancelled,
    )
