"""Finds the secrets of recorded calls, and takes them out of everything that is stored.

A secret is known by its place (a header, parameter or field whose name says so), or by its form. Its value is then
replaced wherever it occurs, also in later and earlier calls, and also where it is encoded.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from bananastand.contracts.redaction import REDACTED, SECRET_NAMES

__all__ = ["Scrubber"]

SHORTEST = 6  # characters; a shorter secret is replaced in its own place alone
NAME = re.compile(
    r"(^|_)(api_?key|(access|admin|private|secret|ssh|auth)_key|token|secret|password|passwd|passphrase|pwd|authorization"
    r"|auth|credentials?|cookie|signature|sig|jwt|bearer|otp|pin)s?$"
)
OTHER_KEYS = re.compile(r"(^|_)(model|public|object|sort|primary|foreign|cache|partition|file|storage)_key$")
PAGING = re.compile(r"(^|_)(page|next|prev(ious)?|continuation|cursor|sync|max|min|num|total|idempotency)_")
OPEN_HEADERS = frozenset(
    ("accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "content-encoding", "date")
    + ("content-language", "content-length", "content-type", "etag", "expect", "if-modified-since", "if-none-match")
    + ("origin", "pragma", "prefer", "range", "user-agent")
)
TOKEN = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[\w.:+=~-]{16,}")
FORMS = re.compile(
    r"\b(?:[sprw]k[-_](?:live|test|proj|ant|or)?[-_]?[\w-]{16,}|[sr]k_(?:live|test)_\w+|at_r?[0-9a-f]{24,}|pb_[0-9a-f]{16,}"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9a-f]{32,}|eyJ[\w-]{8,4000}\.[\w-]{8,}\.[\w-]*|gh[pousr]_\w{30,}"
    r"|github_pat_\w{30,}|AKIA[0-9A-Z]{16}|AIza[\w-]{35}|hf_\w{30,}|xox[abprs]-[\w-]{10,}|whsec_[\w+/=]{16,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.{0,20000}?-----END [A-Z ]*PRIVATE KEY-----",
    re.DOTALL,
)
IN_TEXT = re.compile(
    r"""(?i)(["']?)(?<![\w.-])([\w.-]{0,200}(?:api_?-?key|token|secret|password|passwd|signature|credential|\bsig|\bkey))\1"""
    r"""(\s*[=:]\s*["']?)([^"'&,;\s<>{}\])]+)"""
)
IN_ELEMENT = re.compile(r"<([\w:.-]{1,200})(?:\s[^<>]{0,2000})?>()([^<>]+)(?=</)")  # of XML
IN_PATH = re.compile(r"/([\w.-]{1,200})(/)([^/?#&\s\"'<>]{16,500})")
PART_NAME = re.compile(rb"""(?i)content-disposition:[^\r\n]{0,200}?\bname=["']?([^"';\r\n]{1,200})""")
COUNTED = re.compile(r"(^|_)(tokens?|credits?|sigs?|signatures?|auths?)$")  # may be numbers that are no secrets
USERINFO = re.compile(r"(?<=://)([^/@\s:]*:[^/@\s]+)(?=@)")
CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Scrubber:
    """The secrets of one recording.

    Args:
        names: Further names of headers, parameters and fields that hold secrets.
        secrets: Values that are secrets.
    """

    def __init__(self, names: Iterable[str] = (), secrets: Iterable[str] = ()) -> None:
        self._names = frozenset(map(_snake, names))
        self._variants = dict[str, tuple[str, ...]]()
        for secret in secrets:
            self.learn(secret)

    def is_secret(self, name: str, value: str = "") -> bool:
        """Return whether a name says that its value is a secret; one that ends in `key`, if the value looks like it."""
        snake = _snake(name)
        if snake in self._names or name.lower() in SECRET_NAMES:
            return True
        if NAME.search(snake):
            return not PAGING.search(snake)
        return snake.endswith("key") and not OTHER_KEYS.search(snake) and TOKEN.fullmatch(value) is not None

    def learn(self, secret: str) -> bool:
        """Remember a secret; return whether it is new."""
        secret = secret.strip()
        if len(secret) < SHORTEST or REDACTED in secret or secret in self._variants:
            return False
        escaped = json.dumps(secret)[1:-1]
        forms = (
            secret, quote(secret, safe=""), quote_plus(secret), escaped, escaped.replace("/", "\\/"),
            html.escape(secret), base64.b64encode(secret.encode()).decode(),
        )  # fmt: skip
        self._variants[secret] = tuple(dict.fromkeys(forms))
        return True

    def learn_headers(self, headers: Mapping[str, str], *, of_request: bool) -> None:
        """Remember the credentials, cookies and other secrets of headers."""
        for name, value in headers.items():
            if name.lower() in ("cookie", "set-cookie"):
                self._learn_cookies(value, first_only=name.lower() == "set-cookie")
            elif "authorization" in name.lower():
                self._learn_authorization(value)
            elif self.is_secret(name, value) or (
                of_request and name.lower() not in OPEN_HEADERS and TOKEN.fullmatch(value)
            ):
                self.learn(value)

    def learn_value(self, value: Any, name: str = "") -> None:
        """Remember the secrets of a parameter, or of a body's JSON value."""
        for inner, text in self._texts(value, name):
            if self.is_secret(inner, text):
                self.learn(text)
            for found in FORMS.finditer(text):
                self.learn(found[0])
            for found in USERINFO.finditer(text):
                self.learn(found[1].partition(":")[2])
            for found in (*IN_ELEMENT.finditer(text), *IN_PATH.finditer(text)):
                if self._is_in_place(found):
                    self.learn(found[3])
            for found in IN_TEXT.finditer(text):
                if self.is_secret(found[2], found[4]) and ("=" in found[3] or TOKEN.fullmatch(found[4])):
                    self.learn(found[4])

    def learn_parts(self, content: bytes) -> None:
        """Remember the secrets of a multipart body."""
        for part in _parts(content)[1]:
            name, _, value, _ = _split_part(part)
            for line in (value, *value.splitlines()) if self.is_secret(name) else (value,):
                self.learn_value(line, name)

    def headers(self, headers: Mapping[str, str], *, of_request: bool) -> dict[str, str]:
        """Return headers without secrets; of a request only those that are known to hold none have their values."""
        return {
            name: REDACTED
            if self.is_secret(name, value) or (of_request and name not in OPEN_HEADERS)
            else self.text(value)
            for name, value in headers.items()
        }

    def value(self, value: Any, name: str = "") -> Any:
        """Return a copy of a JSON value without secrets; all texts below a secret's name are secrets."""
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item, inner) for key, item, inner in self._fields(value, name)}
        if isinstance(value, list):
            return [self.value(item, name) for item in value]
        if isinstance(value, str):
            return REDACTED if value and self.is_secret(name, value) else self.text(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not COUNTED.search(_snake(name)):
            return REDACTED if self.is_secret(name) else value
        return value

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        text = self._hidden(FORMS.sub(REDACTED, text))
        text = USERINFO.sub(REDACTED, text)
        text = IN_ELEMENT.sub(self._redact_place, IN_PATH.sub(self._redact_place, text))
        return IN_TEXT.sub(self._redact_pair, text)

    def content(self, content: bytes, content_type: str) -> bytes:
        """Return a body that is no JSON without secrets."""
        if content_type.startswith("application/x-www-form-urlencoded"):
            pairs = parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True)
            return urlencode([(name, self.value(value, name)) for name, value in pairs], safe="[]").encode()
        if content_type.startswith("multipart/"):
            delimiter, parts = _parts(content)
            content = delimiter.join(map(self._redact_part, parts))
        try:
            return self.text(content.decode("utf-8")).encode()
        except UnicodeDecodeError:
            for form in self._forms():
                content = content.replace(form.encode(), REDACTED.encode())
            return content

    def occurs_in(self, text: str) -> bool:
        """Return whether a known secret occurs in a text."""
        return any(form in text for form in self._forms())

    @property
    def count(self) -> int:
        """How many secrets are known."""
        return len(self._variants)

    def _forms(self) -> list[str]:
        return sorted((form for forms in self._variants.values() for form in forms), key=len, reverse=True)

    def _hidden(self, text: str) -> str:
        for form in self._forms():
            text = text.replace(form, REDACTED)
        return text

    def _fields(self, value: Mapping[Any, Any], name: str) -> Iterator[tuple[Any, Any, str]]:
        """The fields of an object, with the name that counts for each.

        That is the object's, if all below it is secret. For the `value` of {name: HF_TOKEN, value: ...} it is HF_TOKEN.
        """
        pair = value.get("name", value.get("key"))
        for key, item in value.items():
            own = pair if key == "value" and isinstance(pair, str) else str(key)
            yield key, item, name if name and self.is_secret(name) else own

    def _texts(self, value: Any, name: str) -> Iterator[tuple[str, str]]:
        """All texts of a JSON value with the name of the field that holds them."""
        if isinstance(value, Mapping):
            for key, item, inner in self._fields(value, name):
                yield "", str(key)
                yield from self._texts(item, inner)
        elif isinstance(value, list):
            for item in value:
                yield from self._texts(item, name)
        elif isinstance(value, str):
            yield name, value

    def _redact_pair(self, found: re.Match[str]) -> str:
        if not self.is_secret(found[2], found[4]) or found[4] == REDACTED.rstrip("]"):
            return found[0]
        return f"{found[1]}{found[2]}{found[1]}{found[3]}{REDACTED}"

    def _is_in_place(self, found: re.Match[str]) -> bool:
        name, value = found[1].rpartition(":")[2], found[3].strip()
        return self.is_secret(name, value) and (not found[2] or TOKEN.fullmatch(value) is not None)

    def _redact_place(self, found: re.Match[str]) -> str:
        return found[0].removesuffix(found[3]) + REDACTED if self._is_in_place(found) else found[0]

    def _redact_part(self, part: bytes) -> bytes:
        name, head, value, end = _split_part(part)
        return head + REDACTED.encode() + end if value and self.is_secret(name, value) else part

    def _learn_authorization(self, value: str) -> None:
        scheme, _, credential = value.partition(" ")
        self.learn(credential or scheme)
        if scheme.lower() != "basic":
            return
        try:
            user, _, password = base64.b64decode(credential).decode().partition(":")
        except ValueError:
            return
        self.learn(f"{user}:{password}")
        self.learn(password or user)
        if TOKEN.fullmatch(user):
            self.learn(user)

    def _learn_cookies(self, value: str, *, first_only: bool) -> None:
        for pair in value.split(";")[: 1 if first_only else None]:
            content = pair.partition("=")[2].strip()
            if len(content) > SHORTEST and not content.isalpha():
                self.learn(content)


def _snake(name: str) -> str:
    return CAMEL.sub("_", name).lower().replace("-", "_").replace(".", "_").replace("[", "_").replace("]", "")


def _parts(content: bytes) -> tuple[bytes, list[bytes]]:
    """The delimiter of a multipart body, which is its first line, and what is between."""
    delimiter = content.lstrip().partition(b"\n")[0].strip()
    return delimiter, content.split(delimiter) if delimiter else [content]


def _split_part(part: bytes) -> tuple[str, bytes, str, bytes]:
    """The name of a part, its head, its value and the end of its last line."""
    blank = re.search(rb"\r?\n\r?\n", part)
    named = PART_NAME.search(part[: blank.start()]) if blank is not None else None
    if blank is None or named is None:
        return "", part, "", b""
    value = part[blank.end() :]
    stripped = value.rstrip(b"\r\n")
    return (
        named[1].decode("utf-8", "replace"),
        part[: blank.end()],
        stripped.decode("utf-8", "replace"),
        value[len(stripped) :],
    )
