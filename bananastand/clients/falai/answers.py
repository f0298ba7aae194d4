"""What fal.ai behind LowCodeAPI answers, as its contract has it."""

from __future__ import annotations

from typing import Any, Literal

from ..call import Answer

__all__ = [
    "Analytics",
    "AnalyticsBucket",
    "AnalyticsRow",
    "Batch",
    "BatchAnswer",
    "Billing",
    "Group",
    "Instance",
    "InstanceList",
    "Metadata",
    "Metric",
    "Model",
    "ModelDetail",
    "ModelList",
    "Monitoring",
    "Page",
    "Point",
    "Price",
    "Pricing",
    "Reading",
    "Series",
    "Status",
    "Tier",
    "Usage",
    "UsageBucket",
    "UsageRow",
]

Metric = Literal["requests", "cost", "latency", "errors"]
Reading = Literal["cpu", "memory", "gpu", "disk", "network"]
Status = Literal["provisioning", "starting", "active", "stopping", "stopped"]


class Page(Answer):
    """Part of a list; `next_cursor` is None on the last."""

    next_cursor: str | None
    has_more: bool


class Group(Answer):
    key: str
    label: str


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
    thumbnail_animated_url: str | None = None
    github_url: str | None = None
    group: Group | None = None
    training_endpoint_ids: list[str] | None = None
    inference_endpoint_ids: list[str] | None = None
    stream_url: str | None = None
    duration_estimate: float | None = None


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
