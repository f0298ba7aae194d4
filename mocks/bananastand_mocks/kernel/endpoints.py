"""Binds the functions of a provider: looks up once what their parameter names ask for."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

from bananastand.contracts.response import ApiResponse

from .call import ApiCall, EndpointFunction
from .errors import ContractBreach
from .provider import Provider

__all__ = ["BoundEndpoint", "Dispatch", "bind_endpoints"]

BoundEndpoint = Callable[[ApiCall], Any]
Dispatch = Callable[[ApiCall, str, str, dict[str, Any], Any], Awaitable[ApiResponse]]

OF_THE_CALL = ("world", "parameters", "body")


def bind_endpoints(provider: Provider, dispatch: Dispatch) -> dict[str, BoundEndpoint]:
    """Bind all functions of a provider.

    Args:
        provider: The provider.
        dispatch: Makes another call of the same provider; the first argument is the call that asks for it.

    Returns:
        A function of the call for each operationId.

    Raises:
        ContractBreach: The functions are not those of the contract's operations, or one has an unknown parameter.
    """
    operations, functions = provider.contract.by_id.keys(), provider.endpoints.keys()
    if operations != functions:
        missing, unknown = sorted(operations - functions), sorted(functions - operations)
        raise ContractBreach(
            f"{provider.name}: the operations {missing} of {provider.contract_file.name} have no function, and the "
            f"functions {unknown} no operation; give `endpoints` of the provider one function for each operationId"
        )
    sources: dict[str, Callable[[ApiCall], Any]] = {
        **{name: _constant(resource) for name, resource in provider.resources.items()},
        **{name: attrgetter(name) for name in OF_THE_CALL},
        "call": lambda call: call,
        "dispatch": lambda call: partial(dispatch, call),
    }
    return {name: _bind(provider.name, function, sources) for name, function in provider.endpoints.items()}


def _bind(provider: str, function: EndpointFunction, sources: Mapping[str, Callable[[ApiCall], Any]]) -> BoundEndpoint:
    names = list(inspect.signature(function, follow_wrapped=False).parameters)
    if unknown := [name for name in names if name not in sources]:
        raise ContractBreach(
            f"{provider}: {function.__name__} has unknown parameters: {', '.join(unknown)}; use {', '.join(sources)}"
        )
    if len(names) > 1 and all(name in OF_THE_CALL for name in names):
        fetch_all = attrgetter(*names)
        return lambda call: function(*fetch_all(call))
    getters = [sources[name] for name in names]
    return lambda call: function(*[fetch(call) for fetch in getters])


def _constant(value: Any) -> Callable[[ApiCall], Any]:
    return lambda call: value
