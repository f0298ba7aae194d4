"""Errors of the clients.

BananastandError
    MissingKey              there is no key, or one that cannot be sent
    APIError                .request is what was called, .body the response
        APIConnectionError      no response, or the connection broke; .sent is False if nothing was sent
            APITimeoutError         no response in time; also a TimeoutError
        APIStatusError          .status, .headers; one class for each documented status
            BadRequestError 400, AuthenticationError 401, PaymentRequiredError 402, PermissionDeniedError 403,
            NotFoundError 404, PayloadTooLargeError 413, UnsupportedEncodingError 415, TeapotError 418,
            UnprocessableError 422, BusyError 423,
            RateLimitError 429, RequestCancelledError 499, ServerError 5xx
        APIResponseError        the response does not fit the contract
        APIRefusedError         a failure inside a response of status 200; also a TaskFailed
    TaskFailed              the API worked, the work failed; .task
    DeadlineExceeded        the work was not done in time; also a TimeoutError
    ClockStopped            the work waits for a mock's clock that stands still; .task
    CallCancelled           `cancelled` returned true
    ClientClosed            the client was closed before the call
    InvalidWebhook          a webhook has another signature, or is no event
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIRefusedError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "BananastandError",
    "BusyError",
    "CallCancelled",
    "ClientClosed",
    "ClockStopped",
    "DeadlineExceeded",
    "InvalidWebhook",
    "MissingKey",
    "NotFoundError",
    "PayloadTooLargeError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestCancelledError",
    "ServerError",
    "TaskFailed",
    "TeapotError",
    "UnprocessableError",
    "UnsupportedEncodingError",
    "status_error",
]


class BananastandError(Exception):
    """Base of all errors of the clients. They can be pickled, so that they pass between processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args), self.__dict__


class MissingKey(BananastandError, ValueError):
    """No key was passed and its environment variable is not set, or the key cannot be sent."""


class APIError(BananastandError):
    """A request failed.

    Attributes:
        message: What happened.
        request: Method and URL, without key and query.
        body: The response, as far as it was read.
    """

    def __init__(self, message: str, *, request: str, body: object = None) -> None:
        Exception.__init__(self, f"{request}: {message}")  # a subclass has a second base, with arguments of its own
        self.message, self.request, self.body = message, request, body


class APIConnectionError(APIError):
    """There was no response, or the connection broke before its end.

    Attributes:
        sent: Whether the provider may have got the request; false if no connection came about.
    """

    def __init__(self, message: str, *, request: str, sent: bool = True) -> None:
        super().__init__(message, request=request)
        self.sent = sent


class APITimeoutError(APIConnectionError, TimeoutError):
    """The response did not come in time."""


class APIStatusError(APIError):
    """The response has an error status. `headers` have lower-case names."""

    def __init__(self, message: str, *, request: str, status: int, headers: Mapping[str, str], body: object) -> None:
        super().__init__(f"{status} {message}", request=request, body=body)
        self.status, self.headers = status, headers


class BadRequestError(APIStatusError):
    """Status 400."""


class AuthenticationError(APIStatusError):
    """Status 401."""


class PaymentRequiredError(APIStatusError):
    """Status 402."""


class PermissionDeniedError(APIStatusError):
    """Status 403."""


class NotFoundError(APIStatusError):
    """Status 404."""


class PayloadTooLargeError(APIStatusError):
    """Status 413."""


class UnsupportedEncodingError(APIStatusError):
    """Status 415."""


class TeapotError(APIStatusError):
    """Status 418."""


class UnprocessableError(APIStatusError):
    """Status 422."""


class BusyError(APIStatusError):
    """Status 423."""


class RateLimitError(APIStatusError):
    """Status 429."""


class RequestCancelledError(APIStatusError):
    """Status 499: the request was cancelled before it completed."""


class ServerError(APIStatusError):
    """Status 500 and above."""


class APIResponseError(APIError):
    """The response has a success status and does not fit the contract."""


class TaskFailed(BananastandError):
    """The API worked, the work failed: a task, or a run. `task` is its last state."""

    def __init__(self, message: str, task: object) -> None:
        super().__init__(message)
        self.task = task


class APIRefusedError(APIError, TaskFailed):
    """The response has status 200 and says that the run failed. `task` is the run."""

    def __init__(self, message: str, *, request: str, body: object = None, task: object = None) -> None:
        super().__init__(message, request=request, body=body)
        self.task = task


class DeadlineExceeded(BananastandError, TimeoutError):
    """The work was not done in time; it may go on. `task` is its last state."""

    def __init__(self, message: str, task: object) -> None:
        super().__init__(message)
        self.task = task


class ClockStopped(BananastandError):
    """The work waits for the clock of a mock, which stands still. `task` is its last state."""

    def __init__(self, message: str, task: object) -> None:
        super().__init__(message)
        self.task = task


class CallCancelled(BananastandError):
    """`cancelled` returned true while the client waited."""


class ClientClosed(BananastandError):
    """The client, or the HTTP client that was passed to it, was closed before the call."""


class InvalidWebhook(BananastandError, ValueError):
    """A webhook's signature is not that of its body, or its body is no event."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: PayloadTooLargeError,
    415: UnsupportedEncodingError,
    418: TeapotError,
    422: UnprocessableError,
    423: BusyError,
    429: RateLimitError,
    499: RequestCancelledError,
}


def status_error(status: int) -> type[APIStatusError]:
    """Return the error class of a status."""
    return ServerError if status >= 500 else _BY_STATUS.get(status, APIStatusError)


def _restore(kind: type[BananastandError], args: tuple[Any, ...]) -> BananastandError:
    """Return an error as it was pickled, without calling its constructor, which takes other arguments."""
    error = kind.__new__(kind, *args)
    error.args = args
    return error
