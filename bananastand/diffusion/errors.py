"""Errors of the diffusion package.

DiffusionError
    InvalidRequest     the request does not fit the card: the caller's to mend
    LoadError          the model could not be loaded: the operator's to mend
"""

from __future__ import annotations

__all__ = ["DiffusionError", "InvalidRequest", "LoadError"]


class DiffusionError(Exception):
    """Anything this package raises on purpose, but for cancel.Cancelled and CardError."""


class InvalidRequest(DiffusionError):
    """A request that does not fit the card.

    code: missing_field, unknown_field, wrong_type, out_of_range, too_long, not_allowed, invalid_text or not_an_object.
    field: the offending field, or None where the whole body is wrong.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    def as_dict(self) -> dict[str, dict[str, str | None]]:
        """The body of the answer: {"error": {"code", "message", "field"}}."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field}}


class LoadError(DiffusionError):
    """The model could not be loaded; the text is one line and says what to do."""
