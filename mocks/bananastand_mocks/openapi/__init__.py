"""Serves any OpenAPI document as a mock: checked requests, answers from its examples and schemas, resources that last.

`document` reads and checks the file, `upgrade` makes 3.0 into 3.1, `roles` finds the resources, `store` keeps them,
`values` draws from schemas, `answers` and `errors` word the responses, `provider` joins them.
"""

from __future__ import annotations

from .document import DocumentError
from .provider import OpenApiProvider

__all__ = ["DocumentError", "OpenApiProvider"]
