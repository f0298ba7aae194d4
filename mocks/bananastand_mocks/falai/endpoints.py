"""Which function answers which operation of document C."""

from __future__ import annotations

from collections.abc import Mapping

from ..kernel.call import EndpointFunction
from ..kernel.world import EventHandler
from . import batch, compute, models, pricing, usage

__all__ = ["ENDPOINTS", "EVENTS"]

ENDPOINTS: Mapping[str, EndpointFunction] = {
    "list_models": models.list_models,
    "get_model": models.get_model,
    "get_pricing": pricing.get_pricing,
    "get_usage": usage.get_usage,
    "get_analytics": usage.get_analytics,
    "list_instances": compute.list_instances,
    "create_instance": compute.create_instance,
    "get_instance": compute.get_instance,
    "delete_instance": compute.delete_instance,
    "start_instance": compute.start_instance,
    "stop_instance": compute.stop_instance,
    "monitor_instance": compute.monitor_instance,
    "batch": batch.batch,
}

EVENTS: Mapping[str, EventHandler] = {compute.ARRIVED: compute.arrive}
