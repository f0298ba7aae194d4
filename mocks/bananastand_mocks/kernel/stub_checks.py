"""Holds stubs to what is served: that their operations exist, and where their responses leave the contract."""

from __future__ import annotations

from collections.abc import Iterable

from .patterns import RequestPattern
from .provider import Provider
from .stub import Stub

__all__ = ["check_names", "contract_differences"]


def check_names(pattern: RequestPattern, providers: Iterable[Provider]) -> None:
    """Raise ValueError where a pattern names a provider or an operation that is not served."""
    served = {provider.name: provider for provider in providers}
    if pattern.provider is not None and pattern.provider not in served:
        raise ValueError(f"provider: {pattern.provider[:80]} is not served; there are {', '.join(served)}")
    named = [served[pattern.provider]] if pattern.provider is not None else served.values()
    if pattern.operation is not None and not any(pattern.operation in provider.contract.by_id for provider in named):
        raise ValueError(f"operation: no provider here has {pattern.operation[:80]}")


def contract_differences(stub: Stub, providers: Iterable[Provider]) -> list[str]:
    """Return in words where the responses of a stub are not those of its operation's contract.

    A status that the contract does not name may have any body.
    """
    pattern = stub.spec.request
    operations = [
        provider.contract.by_id[pattern.operation]
        for provider in providers
        if pattern.operation in provider.contract.by_id and pattern.provider in (None, provider.name)
    ]
    differences = {
        operation.check_response(response.build())
        for response in stub.spec.responses
        for operation in operations
        if operation.names(response.status)
    }
    return sorted(filter(None, differences))
