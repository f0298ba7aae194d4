"""Decodes a request body as Express 4's JSON parser does: its compression, its charset, its byte order mark."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from email.message import Message

from bananastand.asgi.bodies import BodyReservation, BudgetExceeded
from bananastand.contracts.errors import ProviderError

__all__ = ["decode_body"]

WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def decode_body(raw: bytes, headers: Mapping[str, str], limit: int, reservation: BodyReservation) -> bytes:
    """Return the JSON of a body in UTF-8; a body of another type stays as it is, since Express does not read it.

    Args:
        raw: The body as it came.
        headers: The request's headers, their names in lower case.
        limit: Bytes that the inflated body may have.
        reservation: Counts the inflated body against the server's memory.

    Raises:
        ProviderError: unsupported_encoding for another compression or charset, malformed_json for a body that does not
            inflate or decode, too_large.
    """
    if not raw and "content-length" not in headers:
        return raw
    kind = Message()
    kind["content-type"] = headers.get("content-type", "application/json")
    if kind.get_content_type() != "application/json":
        return raw
    charset = str(kind.get_param("charset") or "utf-8").lower()
    if not charset.startswith("utf-"):
        raise ProviderError("unsupported_encoding", f'unsupported charset "{charset.upper()}"')
    encoding = headers.get("content-encoding", "").lower() or "identity"
    if encoding in WINDOWS:
        raw = _inflate(raw, WINDOWS[encoding], limit, reservation)
    elif encoding != "identity":
        raise ProviderError("unsupported_encoding", f'unsupported content encoding "{encoding}"')
    try:
        return raw.removeprefix(b"\xef\xbb\xbf") if charset == "utf-8" else raw.decode(charset).encode()
    except (LookupError, ValueError):
        raise ProviderError("malformed_json", f"the body is not {charset.upper()}") from None


def _inflate(raw: bytes, window: int, limit: int, reservation: BodyReservation) -> bytes:
    """The members of a compressed body one after the other, with zlib's own words for what is wrong with it."""
    pieces, size = list[bytes](), 0
    while True:
        inflater = zlib.decompressobj(window)
        try:
            piece = inflater.decompress(raw, limit - size + 1)
        except zlib.error as error:
            raise ProviderError("malformed_json", str(error).rpartition(": ")[2]) from None
        size += len(piece)
        if size > limit:
            raise ProviderError("too_large", limit=limit)
        try:
            reservation.add(len(piece))
        except BudgetExceeded:
            raise ProviderError("fault", "too much is being sent: try again later", status=503) from None
        pieces.append(piece)
        if not inflater.eof:
            raise ProviderError("malformed_json", "unexpected end of file")
        if not (raw := inflater.unused_data):
            return b"".join(pieces)
