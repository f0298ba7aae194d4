"""fal.ai's queue: a blocking client and one for asyncio.

>>> with FalQueue() as fal:  # FAL_KEY
...     output = fal.subscribe("fal-ai/flux/dev", {"prompt": "a banana stand by the sea"})
...     print(output["images"][0]["url"])
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, cast

import httpx2

from ..bound_methods import async_flow, async_method, flow, method
from ..client import AsyncClient, Client, closed_error, connection_error, raw_response
from ..provider import ProviderAPI
from ..request import ClientRequest
from . import calls
from .events import EventStream, verify_webhook
from .models import RequestStatus

__all__ = ["AsyncFalQueue", "FalQueue", "verify_webhook"]

QUEUE = "https://queue.fal.run"
OTHER_HOSTS = {"/run/": "https://fal.run", "/rest/": "https://rest.fal.ai"}


class _FalQueueAPI(ProviderAPI):
    name = "fal-queue"
    base_url = QUEUE
    base_variable = "FAL_BASE_URL"
    key_variable = "FAL_KEY"

    def sign(self, request: ClientRequest[Any], key: str, query: dict[str, object], headers: dict[str, str]) -> object:
        """Send the key after the word Key."""
        headers["Authorization"] = f"Key {key}"
        return request.json

    def url_of(self, base_url: str, path: str) -> str:
        """Return the URL of a path; fal itself serves runs and uploads at hosts of their own."""
        for start, host in OTHER_HOSTS.items():
            if base_url == QUEUE and path.startswith(start):
                return f"{host}/{path.removeprefix(start)}"
        return base_url + path

    def message(self, body: Any) -> str | None:
        """Return the text of `detail`, its items joined, or the `status` of a refused cancellation."""
        fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
        detail = fields.get("detail", fields.get("status"))
        if isinstance(detail, list):
            return "; ".join(map(_item_text, cast("list[Any]", detail))) or None
        return detail if isinstance(detail, str) else None


PROVIDER = _FalQueueAPI()


class FalQueue(Client):
    """Client of fal.ai's queue; the key comes from FAL_KEY unless it is passed."""

    provider = PROVIDER
    submit = method(calls.submit)
    status = method(calls.status)
    result = method(calls.result)
    cancel = method(calls.cancel)
    run = method(calls.run)
    initiate_upload = method(calls.initiate_upload)
    get_webhook_keys = method(calls.get_webhook_keys)
    subscribe = flow(calls.subscribe)
    upload = flow(calls.upload)

    def stream(
        self,
        model: str,
        request_id: str,
        *,
        logs: bool | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[RequestStatus]:
        """Iterate over the statuses of a request as they change, until it is completed.

        A stream that breaks off is not repeated: `status` says where the request is.

        Source: docs.fal.ai, asynchronous inference.

        Args:
            model: Model id, with or without its path.
            request_id: Id of a request.
            logs: Include the log lines that are new in each status.
            timeout: Seconds without a sign of the server, more than 0; by default the client's.
            headers: Headers to send as well, or in place of the client's own.

        Raises:
            APIStatusError: The response has an error status.
            APIConnectionError: There was no response, or the stream ended before the request was completed.
            APIResponseError: The response is no stream, or an event no status.
            ClockStopped: The clock of the mock stands still.
        """
        self._check_open()
        stream = EventStream(self.session.with_options(timeout, None, headers), model, request_id, logs)
        try:
            with self._http.stream(**stream.options) as response:
                stream.check(raw_response(response, b"" if response.is_success else response.read()))
                for line in response.iter_lines():
                    if (event := stream.event(line)) is not None:
                        yield event
                        stream.check_clock()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise connection_error(stream.prepared, error) from None
        except RuntimeError as error:
            raise closed_error(self._http.is_closed, error) from None
        stream.check_end()


class AsyncFalQueue(AsyncClient):
    """Client of fal.ai's queue for asyncio."""

    provider = PROVIDER
    submit = async_method(calls.submit)
    status = async_method(calls.status)
    result = async_method(calls.result)
    cancel = async_method(calls.cancel)
    run = async_method(calls.run)
    initiate_upload = async_method(calls.initiate_upload)
    get_webhook_keys = async_method(calls.get_webhook_keys)
    subscribe = async_flow(calls.subscribe)
    upload = async_flow(calls.upload)

    async def stream(
        self,
        model: str,
        request_id: str,
        *,
        logs: bool | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[RequestStatus]:
        """Iterate over the statuses of a request as `FalQueue.stream` does."""
        self._check_open()
        stream = EventStream(self.session.with_options(timeout, None, headers), model, request_id, logs)
        try:
            async with self._http.stream(**stream.options) as response:
                stream.check(raw_response(response, b"" if response.is_success else await response.aread()))
                async for line in response.aiter_lines():
                    if (event := stream.event(line)) is not None:
                        yield event
                        stream.check_clock()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise connection_error(stream.prepared, error) from None
        except RuntimeError as error:
            raise closed_error(self._http.is_closed, error) from None
        stream.check_end()


def _item_text(item: Any) -> str:
    """An error of an input as a line, such as "body.prompt: Field required"."""
    match item:
        case {"loc": [*place], "msg": str(text)}:
            return f"{'.'.join(map(str, place))}: {text}"
        case _:
            return str(item)
