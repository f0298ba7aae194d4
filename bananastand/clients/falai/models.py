"""What fal.ai behind LowCodeAPI returns.

The document shows no answer. A field is required where fal's published specification has it in every answer.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import ValidationInfo, model_validator

from ..fields import Inferred, InferredField, InferredList, InferredMap, InferredOrNull, Open, is_strict
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
Licence = Literal["commercial", "research", "private"]
Region = Literal["us-west", "us-central", "us-east", "eu-north", "eu-west", "other"]
Status = Literal["provisioning", "starting", "active", "stopping", "stopped"]


class Page(ResponseModel):
    """Part of a list; `next_cursor` is None on the last."""

    next_cursor: InferredOrNull[str] = None
    has_more: Annotated[bool, InferredField(nullable=False)] = False


class Group(ResponseModel):
    """Models that belong together."""

    key: str
    label: str


class Metadata(ResponseModel):
    """A model's name, category, description and links."""

    display_name: str
    category: str
    description: str
    status: Open[Literal["active", "deprecated"]]
    tags: InferredList[str] = []
    updated_at: Inferred[str] = None
    is_favorited: InferredOrNull[bool] = None
    thumbnail_url: Inferred[str] = None
    model_url: Inferred[str] = None
    date: Inferred[str] = None
    highlighted: Inferred[bool] = None
    pinned: Inferred[bool] = None
    license_type: Open[Licence] | None = None
    kind: Open[Literal["inference", "training"]] | None = None
    thumbnail_animated_url: str | None = None
    github_url: str | None = None
    group: Group | None = None
    training_endpoint_ids: list[str] | None = None
    inference_endpoint_ids: list[str] | None = None
    stream_url: str | None = None
    duration_estimate: float | None = None


class Model(ResponseModel):
    """A model of the catalogue; one that is not registered has no `metadata`."""

    endpoint_id: str
    metadata: Inferred[Metadata] = None


class ModelDetail(Model):
    """A model with its capabilities and configuration."""

    capabilities: InferredList[str] = []
    configuration: InferredMap[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _first_of_list(cls, value: Any, info: ValidationInfo) -> Any:
        """Take the model out of a list of one: fal's own API has no other way to read one."""
        if is_strict(info) or not isinstance(value, dict):
            return value
        models = cast("dict[str, Any]", value).get("models")
        return models[0] if isinstance(models, list) and models else value  # type: ignore[reportUnknownVariableType]


class ModelList(Page):
    """A page of models."""

    models: list[Model]


class Tier(ResponseModel):
    """A unit price, in USD, from a quantity on."""

    from_quantity: Inferred[float] = None
    unit_price: Inferred[float] = None


class Billing(ResponseModel):
    """How a model is billed."""

    model: Inferred[str] = None
    period: Inferred[str] = None


class Price(ResponseModel):
    """The price of each `unit`."""

    endpoint_id: str
    unit_price: float
    unit: str
    currency: str
    cost_per_request: Inferred[float] = None
    usage_tiers: InferredList[Tier] = []
    billing: Inferred[Billing] = None


class Pricing(Page):
    """A page of prices."""

    prices: list[Price]


class UsageRow(ResponseModel):
    """What one model cost."""

    endpoint_id: str
    unit: str
    quantity: float
    unit_price: float
    percent_discount: InferredOrNull[float] = None
    cost_subtotal: Inferred[float] = None
    cost_discount: Inferred[float] = None
    cost_total: Inferred[float] = None
    cost: Inferred[float] = None
    currency: Inferred[str] = None
    requests: Inferred[int] = None


class UsageBucket(ResponseModel):
    """What was used in one span of time."""

    bucket: str
    results: list[UsageRow]


class Usage(Page):
    """Buckets of time, oldest first, and their sum; either may be missing."""

    time_series: InferredList[UsageBucket] = []
    summary: InferredList[UsageRow] = []


class AnalyticsRow(ResponseModel):
    """The metrics that were asked for; cost in USD, latency the mean in seconds. Others stay readable as attributes."""

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
    """Buckets of time, oldest first, and their sum; either may be missing."""

    time_series: InferredList[AnalyticsBucket] = []
    summary: InferredList[AnalyticsRow] = []


class Instance(ResponseModel):
    """A machine; `ip` is there while it is active."""

    id: str
    instance_type: Inferred[str] = None
    name: InferredOrNull[str] = None
    config: InferredMap[str, Any] = {}
    region: Inferred[Open[Region]] = None
    status: Open[Status]
    created_at: Inferred[str] = None
    started_at: InferredOrNull[str] = None
    stopped_at: InferredOrNull[str] = None
    sector: Open[Literal["sector_1", "sector_2", "sector_3"]] | None = None
    ip: str | None = None
    creator_user_nickname: str | None = None


class InstanceList(Page):
    """A page of compute instances."""

    instances: list[Instance]


class Point(ResponseModel):
    """One measured value."""

    timestamp: Inferred[str] = None
    value: Inferred[float] = None


class Series(ResponseModel):
    """The values of one metric."""

    unit: Inferred[str] = None
    points: InferredList[Point] = []


class Monitoring(ResponseModel):
    """A series for each metric that was asked for, oldest point first."""

    instance_id: Inferred[str] = None
    interval_seconds: Inferred[int] = None
    metrics: InferredMap[Open[Reading], Series] = {}


class BatchAnswer(ResponseModel):
    """The response to one request of a batch."""

    status: Inferred[int] = None
    body: InferredOrNull[Any] = None


class Batch(ResponseModel):
    """One answer for each request, in their order."""

    responses: InferredList[BatchAnswer] = []
