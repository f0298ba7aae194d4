"""Applies JSON Patches (RFC 6902)."""

from __future__ import annotations

import copy
from typing import Any

from jsonpath import JSONPatch, JSONPatchError, JSONPatchTestFailure, JSONPointerError

from bananastand.contracts.errors import Problem, ProviderError, Violation
from bananastand.contracts.json_body import dump

__all__ = ["JSON_PATCH", "apply_patch"]

JSON_PATCH = "application/json-patch+json"
MOST_OPERATIONS = 1000
MOST_BYTES = 16 * 2**20  # of a patched resource: a copy into itself doubles it


def apply_patch(resource: dict[str, Any], operations: Any) -> dict[str, Any]:
    """Return a patched copy of a resource.

    Args:
        resource: What is patched.
        operations: The list of operations.

    Raises:
        ProviderError: violation, where an operation is wrong or names nothing; conflict, where a `test` fails.
    """
    if not isinstance(operations, list):
        raise _violation("a JSON Patch is a list of operations")
    if len(operations) > MOST_OPERATIONS:
        raise _violation(f"a JSON Patch has at most {MOST_OPERATIONS} operations")
    patched: Any = copy.deepcopy(resource)
    for number, operation in enumerate(operations):
        try:
            patched = JSONPatch([operation]).apply(patched)
        except JSONPatchTestFailure:
            raise ProviderError("conflict", f"operation {number}: the test of {operation['path']} fails") from None
        except (JSONPatchError, JSONPointerError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise _violation(f"operation {number}: {error}", str(number)) from None
        is_copy = isinstance(operation, dict) and operation.get("op") == "copy"
        if is_copy and len(dump(patched)) > MOST_BYTES:
            raise _violation(f"operation {number}: the resource grows beyond {MOST_BYTES >> 20} MB", str(number))
    if not isinstance(patched, dict):
        raise _violation("the patched resource is no object")
    return patched


def _violation(message: str, field: str = "") -> ProviderError:
    error = ProviderError("violation", message)
    error.problem = Problem("violation", message, (Violation("body", field, "patch", message),))
    return error
