"""Finds a file in a multipart/form-data body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["find_file"]

LARGEST_HEADER, MOST_HEADERS, MOST_PARTS = 2048, 8, 64


def find_file(content_type: str, body: bytes, name: str) -> bytes | None:
    """Returns the content of the first part of a name, or None if the body has no such part or is malformed.

    Args:
        content_type: The request's Content-Type with its boundary.
        body: The request's body; a part counts once the boundary behind it is there.
        name: The part's name. It is looked for among the first 64 parts.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        return None
    begin = 0 if body.startswith(b"--" + boundary) else body.find(b"\r\n--" + boundary) + 2  # behind a preamble
    parts = _Parts(name.encode())
    parser = MultipartParser(boundary, parts.callbacks(), max_header_count=MOST_HEADERS, max_header_size=LARGEST_HEADER)
    try:
        parser.write(body[begin:])
        parser.finalize()
    except (FormParserError, _TooManyParts):
        pass
    return parts.content


class _TooManyParts(Exception):
    pass


class _Parts:
    """Collects the first part of a name from the parser's callbacks."""

    _is_wanted: bool

    def __init__(self, name: bytes) -> None:
        self.content: bytes | None = None
        self._name, self._count = name, 0
        self._header, self._value = bytearray(), bytearray()
        self._data = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
        }

    def _begin_part(self) -> None:
        self._count += 1
        if self._count > MOST_PARTS:
            raise _TooManyParts
        self._is_wanted = False

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._is_wanted = parse_options_header(bytes(self._value))[1].get(b"name") == self._name
        self._header.clear()
        self._value.clear()

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_wanted:
            self._data += data[start:end]

    def _end_part(self) -> None:
        if self._is_wanted and self.content is None:
            self.content = bytes(self._data)
