"""Banana.dev behind LowCodeAPI: a client of each kind.

>>> with BananaDev() as banana:  # LOWCODEAPI_TOKEN
...     run = banana.run_and_wait("value", {"prompt": "a ripe banana"})
...     print(run.model_outputs)
"""

from __future__ import annotations

from ..client import AsyncClient, Client, aflow, amethod, flow, method
from ..lowcodeapi import LowCodeAPI
from . import calls

__all__ = [
    "AsyncBananaDev",
    "BananaDev",
]

PROVIDER = LowCodeAPI("bananadev")


class BananaDev(Client):
    """Banana.dev behind LowCodeAPI. The key is LowCodeAPI's api_token, else LOWCODEAPI_TOKEN."""

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
    """The same for asyncio."""

    provider = PROVIDER
    get_base = amethod(calls.get_base)
    start_run = amethod(calls.start_run)
    check_run = amethod(calls.check_run)
    run = amethod(calls.run)
    list_models = amethod(calls.list_models)
    get_model = amethod(calls.get_model)
    get_account = amethod(calls.get_account)
    get_usage = amethod(calls.get_usage)
    deploy_model = amethod(calls.deploy_model)
    wait_for_run = aflow(calls.wait_for_run)
    run_and_wait = aflow(calls.run_and_wait)
