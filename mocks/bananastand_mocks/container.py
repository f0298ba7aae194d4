"""The mocks as a container for Testcontainers: `pip install 'bananastand[testcontainers]'`.

>>> with MocksContainer() as mocks:
...     mocks.endpoint("bananadev").base_url
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import HttpWaitStrategy

from .kernel.worlds import Kind
from .providers import NAMES, build
from .running import Endpoint

__all__ = ["IMAGE", "PORT", "MocksContainer"]

IMAGE = "bananastand-mocks:dev"  # as `make image-mocks` names it
PORT = 8750
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class MocksContainer(DockerContainer):
    """All mocks in one container, ready once the control plane answers.

    Args:
        image: The container image.
        providers: The providers, of `providers.NAMES`; all without any.
        world: What the default world holds.
        time: Whether its clock is real, or moves only when it is moved.
        seed: Of its ids and randomness; None draws one.
        step: Seconds by which every call moves its clock.
        options: As for `DockerContainer`.
    """

    def __init__(
        self,
        image: str = IMAGE,
        *,
        providers: Sequence[str] = (),
        world: Kind = "development",
        time: Literal["real", "virtual"] = "virtual",
        seed: int | None = 0,
        step: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(image, **options)
        words = ["--world", world, "--time", time, "--step", f"{step:g}"]
        words += ["--seed", str(seed)] if seed is not None else []
        words += [word for name in providers for word in ("--only", name)]
        host = self.get_docker_client().host()
        if host not in LOOPBACK:  # the control plane answers to listed names alone
            words += ["--allow-host", host]
        self.with_exposed_ports(PORT)
        self.with_command(words)
        self.waiting_for(HttpWaitStrategy(PORT, "/_stand/health"))

    @property
    def url(self) -> str:
        """The address of the index page, without a final slash."""
        return f"http://{self.get_container_host_ip()}:{self.get_exposed_port(PORT)}"

    @property
    def control_url(self) -> str:
        """The address of the default world in the control plane: `POST {control_url}/clock`."""
        return f"{self.url}/_stand/worlds/default"

    def endpoint(self, provider: str) -> Endpoint:
        """Return where a provider answers, with the well-known keys. Raises ValueError for an unknown provider."""
        if provider not in NAMES:
            raise ValueError(f"there is no provider {provider}; there are {', '.join(NAMES)}")
        (served,) = build([provider])
        keys = {credential.kind: credential.well_known for credential in served.credentials}
        admin = next((key for kind, key in keys.items() if kind.endswith("-admin")), "")
        return Endpoint(f"{self.url}{served.mount}", next(iter(keys.values())), admin)
