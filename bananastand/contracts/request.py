"""A request to an operation of a contract, and its checks: the JSON of its body, its parameters, its schema."""

from __future__ import annotations

from typing import Any

from .errors import Problem, ProviderError, Violation
from .json_body import MalformedJson, TooDeep, parse
from .operation import ANY_TYPE, Operation

__all__ = ["ApiRequest", "check_request", "parse_body"]


class ApiRequest:
    """A request whose operation is known.

    Attributes:
        operation: The operation of the contract that the address names.
        method: The HTTP method.
        target: The path below the API's mount, as it came.
        path: The path parameters as text.
        query: The query parameters as text; a name that comes twice has a list.
        headers: The headers, their names in lower case.
        raw: The bytes of the body.
        body: The body's JSON value; None without a body.
        parameters: Path, query and header parameters as the types of the contract, once the request was checked.
        origin: Scheme and host that the client used.
        root: The path below which the API is mounted.
    """

    __slots__ = (
        "body",
        "headers",
        "method",
        "operation",
        "origin",
        "parameters",
        "path",
        "query",
        "raw",
        "root",
        "target",
    )

    def __init__(
        self,
        operation: Operation,
        method: str,
        target: str,
        path: dict[str, str],
        query: dict[str, Any],
        headers: dict[str, str],
        *,
        origin: str = "",
        root: str = "",
    ) -> None:
        self.operation, self.method, self.target = operation, method, target
        self.path, self.query, self.headers = path, query, headers
        self.origin, self.root = origin, root
        self.raw = b""
        self.body: Any = None
        self.parameters: dict[str, Any] = {}


def parse_body(request: ApiRequest, *, objects_only: bool = False) -> None:
    """Read `body` from `raw` where the operation takes JSON.

    Args:
        request: The request; its `raw` is complete.
        objects_only: Whether a bare string or number is refused, as Express refuses it.

    Raises:
        ProviderError: malformed_json, too_deep.
    """
    if not request.operation.takes_json or _is_other_type(request):
        return
    if not request.raw:
        request.body = None if request.operation.body_required else {}
        return
    if "json" not in request.headers.get("content-type", "json"):
        request.body = {}  # what Express's and Flask's parsers leave where they do not parse
        return
    try:
        request.body = parse(request.raw)
    except TooDeep as error:
        raise ProviderError("too_deep", str(error)) from None
    except MalformedJson as error:
        raise ProviderError("malformed_json", str(error)) from None
    if objects_only and not isinstance(request.body, dict | list):
        raise ProviderError("malformed_json", "Unexpected token: an object or an array is expected")


def check_request(request: ApiRequest) -> None:
    """Read the parameters as the contract types them, and hold them and the body to the contract.

    Raises:
        ProviderError: violation, with all violations.
    """
    operation = request.operation
    violations: list[Violation] = []
    request.parameters.update(operation.path.read(request.path, violations))
    request.parameters.update(operation.query.read(request.query, violations))
    request.parameters.update(operation.headers.read(request.headers, violations))
    if operation.takes_json and not _is_other_type(request):
        if request.body is None and operation.body_required:
            violations.append(Violation("body", "", "required", "a body is required"))
        elif request.raw or request.body is not None:
            operation.check_body(request.body, violations, _media_type(request))
    if violations:
        error = ProviderError("violation", violations[0].message)
        error.problem = Problem("violation", violations[0].message, tuple(violations))
        raise error


def _is_other_type(request: ApiRequest) -> bool:
    """Whether the body has a type other than JSON that the contract names; the operation reads its bytes."""
    media_type = _media_type(request)
    types = request.operation.body_types
    is_named = media_type in types or (ANY_TYPE in types and media_type != "")
    return bool(request.raw) and is_named and "json" not in media_type


def _media_type(request: ApiRequest) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
