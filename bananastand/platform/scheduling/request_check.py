"""Checks that a request can be sent to an app, before its call has a row."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from ..errors import Refused
from ..replicas.client import ReplicaRequest

__all__ = ["check_request"]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
TARGET = re.compile(r"/[\x21-\x7e]*")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # in a header; a tab is allowed
CONTROL_BYTE = re.compile(rb"[\x00-\x1f\x7f]")
RUN_ID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?")


def check_request(request: ReplicaRequest, run_id: str | None = None) -> None:
    """Check that HTTP can carry a request to an app.

    Args:
        request: Its path is percent-encoded. Encoded control characters in it are refused too: an app's server may
            decode the path before it reads or logs it.
        run_id: The caller's id of the run, which reaches the app as a header.

    Raises:
        Refused: Method, path, a header or the run id has characters that no request can carry.
    """
    if not TOKEN.fullmatch(request.method) or len(request.method) > 40:
        raise Refused(f"{_printable(request.method)} is no HTTP method: send GET, POST or another method of HTTP")
    if not TARGET.fullmatch(request.path) or CONTROL_BYTE.search(unquote_to_bytes(request.path.partition("?")[0])):
        raise Refused(f"the path {_printable(request.path)} has control characters in it: send it without them")
    for name, value in request.headers:
        if not TOKEN.fullmatch(name):
            raise Refused(f"{_printable(name)} is no name of a header: use letters, digits and -")
        if CONTROL.search(value) or not _is_latin1(value):
            raise Refused(
                f"the header {name} has characters that no header can carry: encode its value, or leave it out"
            )
    if run_id is not None and not RUN_ID.fullmatch(run_id):
        raise Refused(
            f"id: {_printable(run_id)} cannot be sent to the app as a header: use 1 to 1024 printable ASCII characters"
        )


def _is_latin1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _printable(text: str) -> str:
    return ascii(text)[1:-1][:100]
