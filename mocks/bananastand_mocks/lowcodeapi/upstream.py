"""What stands behind the gateway. Knows no upstream by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from bananastand.contracts.errors import Problem
from bananastand.contracts.response import ApiResponse

from ..kernel.call import EndpointFunction
from ..kernel.provider import Credential
from ..kernel.world import EventHandler, World
from ..kernel.worlds import Kind

__all__ = ["Upstream"]


class Upstream(ABC):
    """A provider as LowCodeAPI calls it.

    `id` names it in addresses, `credential` is the key that LowCodeAPI has stored for it. `endpoints` answer the
    operations of `lowcodeapi/{id}.yaml` with the upstream's own bodies and statuses, `headers` are what its answers
    carry beside their content type, `base` tells whether its document has the base address as an operation.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}
    base: ClassVar[bool] = False
    credential: Credential
    endpoints: Mapping[str, EndpointFunction]
    events: Mapping[str, EventHandler] = {}
    resources: Mapping[str, Any] = {}

    @abstractmethod
    def render(self, problem: Problem) -> ApiResponse:
        """The upstream's own status and body for a problem."""

    @abstractmethod
    def fill(self, world: World, kind: Kind) -> None:
        """Put into a new world what a world of that kind holds; nothing where the native API has done so."""
