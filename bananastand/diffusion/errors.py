"""Errors of the diffusion package.

DiffusionError
    InvalidRequest     the request does not fit the model: the caller can fix it
    Busy               the queue is full: retry later
    OutOfMemory        the picture does not fit beside the model
    LoadError          the model could not be loaded: the operator can fix it
"""

from __future__ import annotations

import math

__all__ = ["Busy", "DiffusionError", "InvalidRequest", "LoadError", "OutOfMemory"]


class DiffusionError(Exception):
    """Base of the errors of this package, but for cancel.Cancelled and ModelFileError."""


class InvalidRequest(DiffusionError):
    """A request that does not fit the model.

    Attributes:
        code: missing_field, unknown_field, wrong_type, out_of_range, too_long, not_allowed, invalid_text or
            not_an_object.
        message: What is wrong and what is allowed.
        field: The wrong field, or None where the whole body is wrong.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    def as_dict(self) -> dict[str, dict[str, str | None]]:
        """Return the response's body: {"error": {"code", "message", "field"}}."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field}}


class Busy(DiffusionError):
    """The engine's queue is full.

    Attributes:
        retry_after: Whole seconds, 1 or more, after which there should be room.
    """

    def __init__(self, seconds: float) -> None:
        self.retry_after = max(1, math.ceil(seconds))
        super().__init__(f"busy: too many requests are waiting; retry after {self.retry_after} s")

    def as_dict(self) -> dict[str, dict[str, str | int | None]]:
        """Return the response's body, as that of InvalidRequest, with `retry_after`."""
        return {"error": {"code": "busy", "message": str(self), "field": None, "retry_after": self.retry_after}}


class OutOfMemory(DiffusionError):
    """The device has too little memory for the request, even alone."""

    def __init__(self, model: str, device: str) -> None:
        super().__init__(f"{model} ran out of memory on {device}; ask for a smaller picture or a smaller batch")


class LoadError(DiffusionError):
    """The model could not be loaded; the text is one line and says what to do."""
