"""Binds the operations of Banana's API to the world of each call."""

from __future__ import annotations

from collections.abc import Mapping
from functools import update_wrapper
from typing import Any

from bananastand.banana_api.api import ApiFunction

from ..kernel.call import ApiCall
from .runtime import RuntimeFactory

__all__ = ["endpoints_of"]


def endpoints_of(operations: Mapping[str, ApiFunction], runtime: RuntimeFactory) -> dict[str, Any]:
    """Return the operations as endpoints of a mock provider, by operationId."""
    return {name: _endpoint(function, runtime) for name, function in operations.items()}


def _endpoint(function: ApiFunction, runtime: RuntimeFactory) -> Any:
    def endpoint(call: ApiCall) -> Any:
        return function(runtime(call.world), call)

    update_wrapper(endpoint, function)
    del vars(endpoint)["__wrapped__"]  # the kernel binds this function's own parameters
    return endpoint
