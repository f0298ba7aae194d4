"""fal.ai's queue: a blocking client and one for asyncio.

>>> with FalQueue() as fal:  # FAL_KEY
...     output = fal.subscribe("fal-ai/flux/dev", {"prompt": "a banana stand by the sea"})
...     print(output["images"][0]["url"])
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import httpx2

from ..bound_methods import async_flow, async_method, flow, method
from ..client import AsyncClient, Client
from ..errors import APIConnectionError, APIResponseError
from ..provider import ProviderAPI
from ..request import ClientRequest, PreparedRequest
from ..response import RawResponse
from . import calls
from .events import read_event, status_events, verify_webhook
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

    def stream(self, model: str, request_id: str, *, logs: bool | None = None) -> Iterator[RequestStatus]:
        """Iterate over the statuses of a request as they change, until it is completed.

        Source: docs.fal.ai, asynchronous inference.

        Args:
            model: Model id, with or without its path.
            request_id: Id of a request.
            logs: Include the log lines that are new in each status.

        Raises:
            APIStatusError: The response has an error status.
            APIConnectionError: The stream broke off.
            APIResponseError: An event is no status.
        """
        self._check_open()
        request = status_events(model, request_id, logs=logs)
        prepared = self.session.prepare(request)
        try:
            with self._http.stream("GET", prepared.url, headers=dict(prepared.headers)) as response:
                if response.status_code != 200:
                    self.session.read_response(request, prepared, _raw(response, response.read()))
                for line in response.iter_lines():
                    if (event := _event(line, prepared)) is not None:
                        yield event
        except httpx2.HTTPError as error:
            raise _broken(prepared, error) from None


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

    async def stream(self, model: str, request_id: str, *, logs: bool | None = None) -> AsyncIterator[RequestStatus]:
        """Iterate over the statuses of a request as `FalQueue.stream` does."""
        self._check_open()
        request = status_events(model, request_id, logs=logs)
        prepared = self.session.prepare(request)
        try:
            async with self._http.stream("GET", prepared.url, headers=dict(prepared.headers)) as response:
                if response.status_code != 200:
                    self.session.read_response(request, prepared, _raw(response, await response.aread()))
                async for line in response.aiter_lines():
                    if (event := _event(line, prepared)) is not None:
                        yield event
        except httpx2.HTTPError as error:
            raise _broken(prepared, error) from None


def _item_text(item: Any) -> str:
    """An error of an input as a line, such as "body.prompt: Field required"."""
    match item:
        case {"loc": [*place], "msg": str(text)}:
            return f"{'.'.join(map(str, place))}: {text}"
        case _:
            return str(item)


def _event(line: str, prepared: PreparedRequest) -> RequestStatus | None:
    try:
        return read_event(line)
    except ValueError as error:
        raise APIResponseError(str(error), request=prepared.label, body=line) from None


def _raw(response: httpx2.Response, content: bytes) -> RawResponse:
    return RawResponse(response.status_code, {name.lower(): text for name, text in response.headers.items()}, content)


def _broken(prepared: PreparedRequest, error: Exception) -> APIConnectionError:
    text = " ".join(str(error).split())
    return APIConnectionError(f"the stream broke off: {type(error).__name__} {text}".strip(), request=prepared.label)
