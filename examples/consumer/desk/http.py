"""JSON over HTTP with the standard library alone."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen


class Refused(Exception):
    """The provider said no. `status` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def send(method: str, url: str, headers: dict[str, str], body: Any = None) -> bytes:
    content = None if body is None else json.dumps(body).encode()
    request = Request(url, content, {"Content-Type": "application/json", **headers}, method=method)
    try:
        with urlopen(request, timeout=30) as answer:
            return answer.read()
    except HTTPError as error:
        with error:
            raise Refused(error.code, error.read().decode()) from None
