"""What fal.ai behind LowCodeAPI returns, as its contract says."""

from __future__ import annotations

from typing import Any, Literal

from ..response import ResponseModel

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


class Page(ResponseModel):
    """Part of a list; `next_cursor` is None on the last."""

    next_cursor: str | None
    has_more: bool


class Group(ResponseModel):
    """Models that belong together."""

    key: str
    label: str


class Metadata(ResponseModel):
    """A model's name, category, description and links."""

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


class Model(ResponseModel):
    """A model of the catalogue."""

    endpoint_id: str
    metadata: Metadata


class ModelDetail(Model):
    """A model with its capabilities and configuration."""

    capabilities: list[str]
    configuration: dict[str, Any]


class ModelList(Page):
    """A page of models."""

    models: list[Model]


class Tier(ResponseModel):
    """A unit price, in USD, from a quantity on."""

    from_quantity: float
    unit_price: float


class Billing(ResponseModel):
    """How a model is billed."""

    model: str
    period: str


class Price(ResponseModel):
    """USD for each `unit`."""

    endpoint_id: str
    unit_price: float
    unit: str
    currency: str
    cost_per_request: float
    usage_tiers: list[Tier]
    billing: Billing


class Pricing(Page):
    """A page of prices."""

    prices: list[Price]


class UsageRow(ResponseModel):
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


class UsageBucket(ResponseModel):
    """What was used in one span of time."""

    bucket: str
    results: list[UsageRow]


class Usage(Page):
    """Buckets of time, oldest first, and their sum."""

    time_series: list[UsageBucket]
    summary: list[UsageRow]


class AnalyticsRow(ResponseModel):
    """The metrics that were asked for; cost in USD, latency the mean in seconds."""

    endpoint_id: str
    requests: int | None = None
    cost: float | None = None
    latency: float | None = None
    errors: int | None = None


class AnalyticsBucket(ResponseModel):
    """The metrics of one span of time."""

    bucket: str
    results: list[AnalyticsRow]


class Analytics(Page):
    """Buckets of time, oldest first, and their sum."""

    time_series: list[AnalyticsBucket]
    summary: list[AnalyticsRow]


class Instance(ResponseModel):
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
    """A page of compute instances."""

    instances: list[Instance]


class Point(ResponseModel):
    """One measured value."""

    timestamp: str
    value: float


class Series(ResponseModel):
    """The values of one metric."""

    unit: str
    points: list[Point]


class Monitoring(ResponseModel):
    """A series for each metric that was asked for, oldest point first."""

    instance_id: str
    interval_seconds: int
    metrics: dict[Reading, Series]


class BatchAnswer(ResponseModel):
    """The response to one request of a batch."""

    status: int
    body: Any


class Batch(ResponseModel):
    """One answer for each request, in their order."""

    responses: list[BatchAnswer]
