"""The calls of fal.ai behind LowCodeAPI: one function for each operation. C:36 is line 36 of its document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from ..request import ClientRequest, PagedList, without_none
from ..session import ClientSession, Flow
from ..waiting import POLL, wait
from .models import (
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
) -> ClientRequest[ModelList]:
    """Return a page of the catalogue.

    Source: C:36-61.

    Args:
        limit: Entries of a page, from 1.
        offset: Entries to skip, from 0.
        search: Text to look for in names and descriptions.
        cursor: `next_cursor` of the page before.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(
        ModelList, "GET", "/v1/models", without_none(limit=limit, offset=offset, search=search, cursor=cursor)
    )


def get_model(model_id: str) -> ClientRequest[ModelDetail]:
    """Return one model with its capabilities and configuration.

    Source: C:65-88.

    Args:
        model_id: Endpoint id of a model.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no model of that name or id.
    """
    return ClientRequest(ModelDetail, "GET", "/v1/models/model_id", {"model_id": model_id})


def get_pricing(*, model_id: str | None = None) -> ClientRequest[Pricing]:
    """Return the price of one model, or all prices.

    Source: C:94-117.

    Args:
        model_id: Endpoint id of a model; all models by default.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no model of that name or id.
    """
    return ClientRequest(Pricing, "GET", "/v1/pricing", {"model_id": model_id})


def get_usage(
    *, start_date: str | None = None, end_date: str | None = None, model_id: str | None = None
) -> ClientRequest[Usage]:
    """Return requests and costs of a period.

    Source: C:123-148.

    Args:
        start_date: First day or moment, ISO 8601; 24 hours ago by default.
        end_date: Last day or moment, ISO 8601; now by default.
        model_id: Only this model.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no model of that name or id.
    """
    return ClientRequest(
        Usage, "GET", "/v1/usage", without_none(start_date=start_date, end_date=end_date, model_id=model_id)
    )


def get_analytics(
    *,
    start_date: str | None = None,
    end_date: str | None = None,
    metric: Metric | None = None,
    model_id: str | None = None,
    cursor: str | None = None,
) -> ClientRequest[Analytics]:
    """Return the metrics of a period.

    Source: C:384-386.

    Args:
        start_date: First day or moment, ISO 8601; 24 hours ago by default.
        end_date: Last day or moment, ISO 8601; now by default.
        metric: requests, cost, latency or errors; all of them by default.
        model_id: Only this model.
        cursor: `next_cursor` of the page before.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no model of that name or id.
    """
    query = without_none(start_date=start_date, end_date=end_date, metric=metric, model_id=model_id, cursor=cursor)
    return ClientRequest(Analytics, "GET", "/v1/analytics", query)


def list_instances(
    *, status: Status | None = None, limit: int | None = None, offset: int | None = None, cursor: str | None = None
) -> ClientRequest[InstanceList]:
    """Return a page of your compute instances.

    Source: C:154-179.

    Args:
        status: Only instances in this state.
        limit: Entries of a page, from 1.
        offset: Entries to skip, from 0.
        cursor: `next_cursor` of the page before.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    query = without_none(status=status, limit=limit, offset=offset, cursor=cursor)
    return ClientRequest(InstanceList, "GET", "/v1/compute/instances", query)


def create_instance(
    instance_type: str, *, name: str | None = None, config: Mapping[str, Any] | None = None
) -> ClientRequest[Instance]:
    """Create a compute instance; it becomes active some time later.

    Source: C:183-221.

    Args:
        instance_type: Kind of machine, such as gpu_1x_h100_sxm5.
        name: Name of the instance.
        config: Configuration, any JSON object.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    body = without_none(instance_type=instance_type, name=name, config=config)
    return ClientRequest(Instance, "POST", "/v1/compute/instances", json=body)


def get_instance(instance_id: str) -> ClientRequest[Instance]:
    """Return an instance and its state.

    Source: C:163.

    Args:
        instance_id: Id of an instance.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no instance of that name or id.
    """
    return ClientRequest(Instance, "GET", "/v1/compute/instances/instance_id", {"instance_id": instance_id})


def delete_instance(instance_id: str) -> ClientRequest[Literal[""] | None]:
    """Delete an instance.

    Source: C:163.

    Args:
        instance_id: Id of an instance.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no instance of that name or id.
    """
    query = {"instance_id": instance_id}
    return ClientRequest(Literal[""] | None, "DELETE", "/v1/compute/instances/instance_id", query, idempotent=True)


def start_instance(instance_id: str) -> ClientRequest[Instance]:
    """Start a stopped instance.

    Source: C:225-248.

    Args:
        instance_id: Id of an instance.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no instance of that name or id.
    """
    return ClientRequest(Instance, "POST", "/v1/compute/instances/instance_id/start", {"instance_id": instance_id})


def stop_instance(instance_id: str) -> ClientRequest[Instance]:
    """Stop an active instance.

    Source: C:252-275.

    Args:
        instance_id: Id of an instance.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no instance of that name or id.
    """
    return ClientRequest(Instance, "POST", "/v1/compute/instances/instance_id/stop", {"instance_id": instance_id})


def monitor_instance(instance_id: str, *, metrics: Sequence[Reading] = ()) -> ClientRequest[Monitoring]:
    """Return how busy an instance is.

    Source: C:366-368.

    Args:
        instance_id: Id of an instance.
        metrics: Any of cpu, memory, gpu, disk and network; all by default.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
        NotFoundError: 404: there is no instance of that name or id.
    """
    query = without_none(instance_id=instance_id, metrics=",".join(metrics) or None)
    return ClientRequest(Monitoring, "GET", "/v1/compute/instances/instance_id/monitor", query)


def batch(requests: Sequence[Mapping[str, Any]]) -> ClientRequest[Batch]:
    """Send several requests as one.

    Source: C:281-324.

    Args:
        requests: 1 to 100 requests, each with `method`, `path` and, where it has them, `params` (its query) and `body`.

    Returns:
        One response for each request, in their order.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return ClientRequest(Batch, "POST", "/v1/batch", json={"requests": [dict(request) for request in requests]})


def each_model(*, search: str | None = None, limit: int | None = None) -> PagedList[Model]:
    """Iterate over the whole catalogue.

    Source: C:36-61.

    Args:
        search: Text to look for in names and descriptions.
        limit: Entries fetched at once, from 1.

    Yields:
        One model after another; a page is fetched when it is reached.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return PagedList(list_models(search=search, limit=limit), lambda page: page.models, _next_page)


def each_instance(*, status: Status | None = None, limit: int | None = None) -> PagedList[Instance]:
    """Iterate over all your instances.

    Source: C:154-179.

    Args:
        status: Only instances in this state.
        limit: Entries fetched at once, from 1.

    Yields:
        One instance after another; a page is fetched when it is reached.

    Raises:
        BadRequestError: 400: an argument is out of range.
        AuthenticationError: 401: the key is unknown or revoked.
        RateLimitError: 429: too many requests, after the retries.
    """
    return PagedList(list_instances(status=status, limit=limit), lambda page: page.instances, _next_page)


def _next_page(call: ClientRequest[Any], page: Page) -> ClientRequest[Any] | None:
    if not page.has_more or page.next_cursor in (None, call.query.get("cursor")):
        return None
    return replace(call, query={**call.query, "cursor": page.next_cursor})


def wait_for_instance(
    session: ClientSession,
    instance_id: str,
    status: Status = "active",
    *,
    poll: float = POLL,
    deadline: float = 600.0,
    on_check: Callable[[Instance], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Flow[Instance]:
    """Check an instance until it reaches a state.

    Source: C:163.

    Args:
        session: The client's session; a client passes its own.
        instance_id: Id of an instance.
        status: The state to wait for; fal's own `ready` counts as active.
        poll: Seconds between two checks, from 0; 3 to 5 are good.
        deadline: Seconds after which waiting ends, from 0.
        on_check: Called with each checked state.
        cancelled: Returns true once waiting is to end; asked at least ten times a second.

    Returns:
        The instance in that state.

    Raises:
        DeadlineExceeded: The deadline is over; the work may go on.
        CallCancelled: `cancelled` returned true.
    """
    return wait(
        session,
        get_instance(instance_id),
        lambda instance: instance.status in (("active", "ready") if status == "active" else (status,)),
        lambda instance: f"instance {instance_id} is {instance.status if instance else 'not seen'}",
        poll=poll,
        deadline=deadline,
        on_check=on_check,
        cancelled=cancelled,
    )
