"""fal.ai behind LowCodeAPI: the calls of its document, and a client of each kind.

>>> with FalAI() as fal:  # LOWCODEAPI_TOKEN
...     for model in fal.each_model(search="flux"):
...         print(model.endpoint_id)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from .call import Answer, Book, Call, Flow, Pause, Session, given
from .client import AsyncClient, Client, aflow, amethod, apages, flow, method, pages
from .errors import CallCancelled, DeadlineExceeded
from .lowcodeapi import LowCodeAPI

__all__ = [
    "Analytics",
    "AsyncFalAI",
    "Batch",
    "FalAI",
    "Instance",
    "InstanceList",
    "Model",
    "ModelDetail",
    "ModelList",
    "Monitoring",
    "Price",
    "Pricing",
    "Usage",
]

Metric = Literal["requests", "cost", "latency", "errors"]
Reading = Literal["cpu", "memory", "gpu", "disk", "network"]
Status = Literal["provisioning", "starting", "active", "stopping", "stopped"]

POLL = 4.0  # seconds between two looks at an instance


class Page(Answer):
    """Part of a list; `next_cursor` is None on the last."""

    next_cursor: str | None
    has_more: bool


class Metadata(Answer):
    display_name: str
    category: str
    description: str
    status: Literal["active", "deprecated"]
    tags: list[str]
    updated_at: str
    is_favorited: bool | None
    thumbnail_url: str
    model_url: str
    date: str
    highlighted: bool
    pinned: bool
    license_type: str | None = None
    kind: str | None = None


class Model(Answer):
    endpoint_id: str
    metadata: Metadata


class ModelDetail(Model):
    capabilities: list[str]
    configuration: dict[str, Any]


class ModelList(Page):
    models: list[Model]


class Tier(Answer):
    from_quantity: float
    unit_price: float


class Billing(Answer):
    model: str
    period: str


class Price(Answer):
    """USD for each `unit`."""

    endpoint_id: str
    unit_price: float
    unit: str
    currency: str
    cost_per_request: float
    usage_tiers: list[Tier]
    billing: Billing


class Pricing(Page):
    prices: list[Price]


class UsageRow(Answer):
    """What one model cost, in USD."""

    endpoint_id: str
    unit: str
    quantity: float
    unit_price: float
    percent_discount: float | None
    cost_subtotal: float
    cost_discount: float
    cost_total: float
    cost: float
    currency: str
    requests: int


class UsageBucket(Answer):
    bucket: str
    results: list[UsageRow]


class Usage(Page):
    """Buckets of time, oldest first, and their sum."""

    time_series: list[UsageBucket]
    summary: list[UsageRow]


class AnalyticsRow(Answer):
    """The metrics that were asked for; cost in USD, latency the mean in seconds."""

    endpoint_id: str
    requests: int | None = None
    cost: float | None = None
    latency: float | None = None
    errors: int | None = None


class AnalyticsBucket(Answer):
    bucket: str
    results: list[AnalyticsRow]


class Analytics(Page):
    time_series: list[AnalyticsBucket]
    summary: list[AnalyticsRow]


class Instance(Answer):
    """A machine; `ip` is there while it is active."""

    id: str
    instance_type: str
    name: str | None
    config: dict[str, Any]
    region: str
    status: Status
    created_at: str
    started_at: str | None
    stopped_at: str | None
    sector: str | None = None
    ip: str | None = None
    creator_user_nickname: str | None = None


class InstanceList(Page):
    instances: list[Instance]


class Point(Answer):
    timestamp: str
    value: float


class Series(Answer):
    unit: str
    points: list[Point]


class Monitoring(Answer):
    """A series for each metric that was asked for, oldest point first."""

    instance_id: str
    interval_seconds: int
    metrics: dict[Reading, Series]


class BatchAnswer(Answer):
    status: int
    body: Any


class Batch(Answer):
    """One answer for each request, in their order."""

    responses: list[BatchAnswer]


# The calls -------------------------------------------------------------------------------------------------------


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
    *, status: str | None = None, limit: int | None = None, offset: int | None = None, cursor: str | None = None
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


def each_instance(*, status: str | None = None, limit: int | None = None) -> Book[Instance]:
    """All your instances, `limit` to a page."""
    return Book(list_instances(status=status, limit=limit), lambda page: page.instances, _following)


def _following(call: Call[Any], page: Page) -> Call[Any] | None:
    if not page.has_more or page.next_cursor is None:
        return None
    return replace(call, query={**call.query, "cursor": page.next_cursor})


# The flows -------------------------------------------------------------------------------------------------------


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
    until = time.monotonic() + deadline
    while True:
        instance = yield from session.send(get_instance(instance_id))
        if on_check is not None:
            on_check(instance)
        if instance.status == status:
            return instance
        if time.monotonic() + poll > until:
            raise DeadlineExceeded(f"instance {instance_id} is {instance.status} after {deadline:g} s", instance)
        yield Pause(poll, cancelled)
        if cancelled is not None and cancelled():
            raise CallCancelled(f"instance {instance_id} is no longer waited for")


# The clients -----------------------------------------------------------------------------------------------------

PROVIDER = LowCodeAPI("falai")


class FalAI(Client):
    """fal.ai behind LowCodeAPI. The key is LowCodeAPI's api_token, else LOWCODEAPI_TOKEN."""

    provider = PROVIDER
    list_models = method(list_models)
    get_model = method(get_model)
    get_pricing = method(get_pricing)
    get_usage = method(get_usage)
    get_analytics = method(get_analytics)
    list_instances = method(list_instances)
    create_instance = method(create_instance)
    get_instance = method(get_instance)
    delete_instance = method(delete_instance)
    start_instance = method(start_instance)
    stop_instance = method(stop_instance)
    monitor_instance = method(monitor_instance)
    batch = method(batch)
    each_model = pages(each_model)
    each_instance = pages(each_instance)
    wait_for_instance = flow(wait_for_instance)


class AsyncFalAI(AsyncClient):
    """The same for asyncio."""

    provider = PROVIDER
    list_models = amethod(list_models)
    get_model = amethod(get_model)
    get_pricing = amethod(get_pricing)
    get_usage = amethod(get_usage)
    get_analytics = amethod(get_analytics)
    list_instances = amethod(list_instances)
    create_instance = amethod(create_instance)
    get_instance = amethod(get_instance)
    delete_instance = amethod(delete_instance)
    start_instance = amethod(start_instance)
    stop_instance = amethod(stop_instance)
    monitor_instance = amethod(monitor_instance)
    batch = amethod(batch)
    each_model = apages(each_model)
    each_instance = apages(each_instance)
    wait_for_instance = aflow(wait_for_instance)
