"""fal.ai behind LowCodeAPI: a blocking client and one for asyncio.

>>> with FalAI() as fal:  # LOWCODEAPI_TOKEN
...     for model in fal.each_model(search="flux"):
...         print(model.endpoint_id)
"""

from __future__ import annotations

from ..bound_methods import async_flow, async_method, async_pages, flow, method, pages
from ..client import AsyncClient, Client
from ..lowcodeapi import LowCodeAPI
from . import calls

__all__ = [
    "AsyncFalAI",
    "FalAI",
]

PROVIDER = LowCodeAPI("falai")


class FalAI(Client):
    """Client of fal.ai behind LowCodeAPI; the token comes from LOWCODEAPI_TOKEN unless it is passed."""

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
    """Client of fal.ai behind LowCodeAPI for asyncio."""

    provider = PROVIDER
    list_models = async_method(calls.list_models)
    get_model = async_method(calls.get_model)
    get_pricing = async_method(calls.get_pricing)
    get_usage = async_method(calls.get_usage)
    get_analytics = async_method(calls.get_analytics)
    list_instances = async_method(calls.list_instances)
    create_instance = async_method(calls.create_instance)
    get_instance = async_method(calls.get_instance)
    delete_instance = async_method(calls.delete_instance)
    start_instance = async_method(calls.start_instance)
    stop_instance = async_method(calls.stop_instance)
    monitor_instance = async_method(calls.monitor_instance)
    batch = async_method(calls.batch)
    each_model = async_pages(calls.each_model)
    each_instance = async_pages(calls.each_instance)
    wait_for_instance = async_flow(calls.wait_for_instance)
