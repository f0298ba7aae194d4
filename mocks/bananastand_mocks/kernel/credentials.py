"""The kinds of secret that a provider takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .ids import Ids

__all__ = ["Credential"]


@dataclass(frozen=True, slots=True)
class Credential:
    """A kind of secret.

    Attributes:
        kind: Its name, such as lowcodeapi or banana.
        well_known: The secret of the default world.
        mint: Makes the secret of any other world.
        other: The secret of the world `other`, for providers that keep tenants apart; None for the rest.
    """

    kind: str
    well_known: str
    mint: Callable[[Ids], str]
    other: str | None = None
