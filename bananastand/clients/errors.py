"""What can go wrong when a provider is called.

BananastandError
    MissingKey              no key was given and its environment variable is not set, or none that can be sent
    APIError                .request says what was called, .body what was answered
        APIConnectionError      nothing answered, or the connection broke
            APITimeoutError         not in time; a TimeoutError too
        APIStatusError          .status, .headers; one class for each documented status
            BadRequestError 400, AuthenticationError 401, PaymentRequiredError 402, PermissionDeniedError 403,
            NotFoundError 404, PayloadTooLargeError 413, TeapotError 418, UnprocessableError 422, BusyError 423,
            RateLimitError 429, ServerError 5xx
        APIResponseError        the answer is not what the contract says
        APIRefusedError         an error inside an answer of status 200
    TaskFailed              the API worked, the work did not; .task
    DeadlineExceeded        the work was not done in time; a TimeoutError too
    CallCancelled           `cancelled` said so
"""

from __future__ import annotations

from collections.abc import Mapping

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
    "DeadlineExceeded",
    "MissingKey",
    "NotFoundError",
    "PayloadTooLargeError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServerError",
    "TaskFailed",
    "TeapotError",
    "UnprocessableError",
    "status_error",
]


class BananastandError(Exception):
    """Everything the clients raise of their own."""


class MissingKey(BananastandError, ValueError):
    """No key was given and its environment variable is not set, or it is none that can be sent."""


class APIError(BananastandError):
    """`request` is the method and the address, without key and query; `body` the answer as far as it was read."""

    def __init__(self, message: str, *, request: str, body: object = None) -> None:
        super().__init__(f"{request}: {message}")
        self.message, self.request, self.body = message, request, body


class APIConnectionError(APIError):
    """Nothing answered, or the connection broke before the answer was whole."""


class APITimeoutError(APIConnectionError, TimeoutError):
    """The answer was not there in time."""


class APIStatusError(APIError):
    """The answer has a status that is no success. `headers` have lower-case names."""

    def __init__(self, message: str, *, request: str, status: int, headers: Mapping[str, str], body: object) -> None:
        super().__init__(f"{status} {message}", request=request, body=body)
        self.status, self.headers = status, headers


class BadRequestError(APIStatusError):
    """400"""


class AuthenticationError(APIStatusError):
    """401"""


class PaymentRequiredError(APIStatusError):
    """402"""


class PermissionDeniedError(APIStatusError):
    """403"""


class NotFoundError(APIStatusError):
    """404"""


class PayloadTooLargeError(APIStatusError):
    """413"""


class TeapotError(APIStatusError):
    """418"""


class UnprocessableError(APIStatusError):
    """422"""


class BusyError(APIStatusError):
    """423"""


class RateLimitError(APIStatusError):
    """429"""


class ServerError(APIStatusError):
    """500 and above"""


class APIResponseError(APIError):
    """The answer came with a success and is not what the contract says."""


class APIRefusedError(APIError):
    """An answer of status 200 that says the call failed."""


class TaskFailed(BananastandError):
    """The API worked, the work did not. `task` is what was answered about it."""

    def __init__(self, message: str, task: object) -> None:
        super().__init__(message)
        self.task = task


class DeadlineExceeded(BananastandError, TimeoutError):
    """The work was not done in time; it may go on. `task` is what was last answered about it."""

    def __init__(self, message: str, task: object) -> None:
        super().__init__(message)
        self.task = task


class CallCancelled(BananastandError):
    """The caller did not want to wait any longer."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    413: PayloadTooLargeError,
    418: TeapotError,
    422: UnprocessableError,
    423: BusyError,
    429: RateLimitError,
}


def status_error(status: int) -> type[APIStatusError]:
    """The class for a status."""
    return ServerError if status >= 500 else _BY_STATUS.get(status, APIStatusError)
