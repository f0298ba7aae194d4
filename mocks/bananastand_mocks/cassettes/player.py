"""Answers from a cassette."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any

from bananastand.contracts.errors import ProviderError
from bananastand.contracts.response import ApiResponse

from ..kernel.call import ApiCall
from ..kernel.http_request import HttpRequest
from ..kernel.world import World
from .bodies import content_of
from .cassette import Interaction
from .requests import PARTS, ReceivedRequest, differences, receive
from .scrubber import Scrubber

__all__ = ["Player", "response_of"]

PLAYED = "cassettes.played"  # the table of a world: the entries that were played, by provider
UNMATCHED = 501
MAX_DIFFERENCES = 3  # in a message


class Player:
    """Answers the requests of one provider as a cassette has them.

    Requests that are alike get the recorded responses one after the other, and then the last one again. A world that
    is reset begins anew.

    Args:
        interactions: Those of the provider.
        parts: What must be equal, of method, path, query and body.
        names: Further names of headers, parameters and fields that hold secrets.
    """

    def __init__(
        self, interactions: Sequence[Interaction], parts: Collection[str] = PARTS, names: Collection[str] = ()
    ) -> None:
        self._interactions, self._parts, self._names = interactions, parts, names

    async def answer(self, request: HttpRequest, call: ApiCall | None) -> ApiResponse:
        """Return the recorded response. Raises ProviderError with status 501, which names the nearest entry."""
        received = receive(request, call, Scrubber(self._names))
        world = call.world if call is not None else request.world
        interaction = self.find(received, world)
        if interaction is None:
            raise ProviderError("fault", self._explain(received), status=UNMATCHED)
        return response_of(interaction)

    def find(self, received: ReceivedRequest, world: World) -> Interaction | None:
        """Return the next recorded answer to a request, and note that it was played; None if there is none."""
        alike = [entry for entry in self._interactions if not differences(entry, received, self._parts)]
        if not alike:
            return None
        played = world.table(PLAYED).setdefault(alike[0].provider, [])
        chosen = next((entry for entry in alike if _id(entry) not in played), alike[-1])
        if _id(chosen) not in played:
            played.append(_id(chosen))
        return chosen

    def unplayed(self, world: World) -> list[Interaction]:
        """Return the interactions that no call of a world has received yet."""
        played = world.table(PLAYED)
        return [entry for entry in self._interactions if _id(entry) not in played.get(entry.provider, ())]

    def _explain(self, received: ReceivedRequest) -> str:
        compared = [(differences(entry, received, self._parts), entry) for entry in self._interactions]
        where = f"no recorded call matches {received.method} {received.path}"
        if not compared:
            return f"{where}: the cassette has no call of this provider; record it"
        found, nearest = min(compared, key=lambda pair: (_distance(pair[0]), pair[1].number))
        more = f", and {len(found) - MAX_DIFFERENCES} more" if len(found) > MAX_DIFFERENCES else ""
        return (
            f"{where}; nearest is {nearest}, which differs in {'; '.join(found[:MAX_DIFFERENCES])}{more}"
            "; change the request, or record it"
        )


def response_of(interaction: Interaction) -> ApiResponse:
    """Return the response of an interaction; the events of a stream are sent one by one."""
    headers = {name: value for name, value in interaction.headers.items() if name != "content-type"}
    content_type = interaction.headers.get("content-type", "application/octet-stream")
    answer = interaction.answer
    body: Any = content_of(answer) if answer is not None or "content-type" in interaction.headers else None
    pieces = _pieces(answer["events"]) if answer is not None and "events" in answer else None
    return ApiResponse(body, interaction.status, headers, content_type, pieces)


async def _pieces(events: Sequence[str]) -> AsyncGenerator[bytes]:
    for event in events:
        yield event.encode()


def _id(interaction: Interaction) -> str:
    return f"{interaction.cassette}:{interaction.number}"


def _distance(found: Sequence[str]) -> tuple[bool, bool, int]:
    """How far a recorded call is from a request: a different path is the farthest."""
    parts = {difference.partition(":")[0] for difference in found}
    return "path" in parts, "method" in parts, len(found)
