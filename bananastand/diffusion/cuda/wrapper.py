"""Something around a denoiser that is called like it and has its attributes."""

from __future__ import annotations

from typing import Any

__all__ = ["Wrapper"]


class Wrapper:
    """Calls go to `inner`; a subclass says how."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.inner(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)
