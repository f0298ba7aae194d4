"""Banana.dev behind LowCodeAPI: a blocking client and one for asyncio.

>>> with BananaDev() as banana:  # LOWCODEAPI_TOKEN
...     run = banana.run_and_wait("value", {"prompt": "a ripe banana"})
...     print(run.model_outputs)
"""

from __future__ import annotations

from ..bound_methods import async_flow, async_method, flow, method
from ..client import AsyncClient, Client
from ..lowcodeapi import LowCodeAPI
from . import calls

__all__ = [
    "AsyncBananaDev",
    "BananaDev",
]

PROVIDER = LowCodeAPI("bananadev")


class BananaDev(Client):
    """Client of Banana.dev behind LowCodeAPI; the token comes from LOWCODEAPI_TOKEN unless it is passed."""

    provider = PROVIDER
    get_base = method(calls.get_base)
    start_run = method(calls.start_run)
    check_run = method(calls.check_run)
    run = method(calls.run)
    list_models = method(calls.list_models)
    get_model = method(calls.get_model)
    get_account = method(calls.get_account)
    get_usage = method(calls.get_usage)
    deploy_model = method(calls.deploy_model)
    wait_for_run = flow(calls.wait_for_run)
    run_and_wait = flow(calls.run_and_wait)


class AsyncBananaDev(AsyncClient):
    """Client of Banana.dev behind LowCodeAPI for asyncio."""

    provider = PROVIDER
    get_base = async_method(calls.get_base)
    start_run = async_method(calls.start_run)
    check_run = async_method(calls.check_run)
    run = async_method(calls.run)
    list_models = async_method(calls.list_models)
    get_model = async_method(calls.get_model)
    get_account = async_method(calls.get_account)
    get_usage = async_method(calls.get_usage)
    deploy_model = async_method(calls.deploy_model)
    wait_for_run = async_flow(calls.wait_for_run)
    run_and_wait = async_flow(calls.run_and_wait)
