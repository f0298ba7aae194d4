"""fal.ai behind LowCodeAPI: a client of each kind.

>>> with FalAI() as fal:  # LOWCODEAPI_TOKEN
...     for model in fal.each_model(search="flux"):
...         print(model.endpoint_id)
"""

from __future__ import annotations

from ..client import AsyncClient, Client, aflow, amethod, apages, flow, method, pages
from ..lowcodeapi import LowCodeAPI
from . import calls

__all__ = [
    "AsyncFalAI",
    "FalAI",
]

PROVIDER = LowCodeAPI("falai")


class FalAI(Client):
    """fal.ai behind LowCodeAPI. The key is LowCodeAPI's api_token, else LOWCODEAPI_TOKEN."""

    provider = PROVIDER
    list_models = method(calls.list_models)
    get_model = method(calls.get_model)
    get_pricing = method(calls.get_pricing)
    get_usage = method(calls.get_usage)
    get_analytics = method(calls.get_analytics)
    list_instances = method(calls.list_instances)
    create_instance = method(calls.create_instance)
    get_instance = method(calls.get_instance)
    delete_instance = method(calls.delete_instance)
    start_instance = method(calls.start_instance)
    stop_instance = method(calls.stop_instance)
    monitor_instance = method(calls.monitor_instance)
    batch = method(calls.batch)
    each_model = pages(calls.each_model)
    each_instance = pages(calls.each_instance)
    wait_for_instance = flow(calls.wait_for_instance)


class AsyncFalAI(AsyncClient):
    """The same for asyncio."""

    provider = PROVIDER
    list_models = amethod(calls.list_models)
    get_model = amethod(calls.get_model)
    get_pricing = amethod(calls.get_pricing)
    get_usage = amethod(calls.get_usage)
    get_analytics = amethod(calls.get_analytics)
    list_instances = amethod(calls.list_instances)
    create_instance = amethod(calls.create_instance)
    get_instance = amethod(calls.get_instance)
    delete_instance = amethod(calls.delete_instance)
    start_instance = amethod(calls.start_instance)
    stop_instance = amethod(calls.stop_instance)
    monitor_instance = amethod(calls.monitor_instance)
    batch = amethod(calls.batch)
    each_model = apages(calls.each_model)
    each_instance = apages(calls.each_instance)
    wait_for_instance = aflow(calls.wait_for_instance)
