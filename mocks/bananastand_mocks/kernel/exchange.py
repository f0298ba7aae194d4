"""What answers the calls of a provider in place of its functions: a recording, or the real service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from bananastand.contracts.response import ApiResponse

if TYPE_CHECKING:
    from .call import ApiCall
    from .http_request import HttpRequest

__all__ = ["Exchange"]


class Exchange(Protocol):
    """Answers requests whose operation may be unknown and whose credential is not checked."""

    async def answer(self, request: HttpRequest, call: ApiCall | None) -> ApiResponse:
        """Return the response to a request with its body; `call` is None where the contract has no such operation.

        Raises:
            ProviderError: There is none; the provider renders the problem.
        """
        ...
