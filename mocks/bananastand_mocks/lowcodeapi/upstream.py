"""An API behind LowCodeAPI, as a mock offers it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
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

    Attributes:
        id: Its name in addresses.
        title: Its name on the index page.
        description: What it offers.
        contract_file: The contract of its operations behind LowCodeAPI.
        headers: Headers of its responses beside their content type.
        base: Whether its document has the base address as an operation.
        credential: The key that LowCodeAPI has stored for it.
        endpoints: The functions by operationId; they return the upstream's own bodies and statuses.
        events: What happens when an event falls due, by the event's name.
        resources: What functions can ask for beside the call.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    contract_file: ClassVar[Path]
    headers: ClassVar[Mapping[str, str]] = {}
    base: ClassVar[bool] = False
    credential: Credential
    endpoints: Mapping[str, EndpointFunction]
    events: Mapping[str, EventHandler] = {}
    resources: Mapping[str, Any] = {}

    @abstractmethod
    def render(self, problem: Problem) -> ApiResponse:
        """Render a problem with the upstream's own status and body."""

    @abstractmethod
    def fill(self, world: World, kind: Kind) -> None:
        """Put into a new world what a world of that kind holds, unless the native API has done so."""
