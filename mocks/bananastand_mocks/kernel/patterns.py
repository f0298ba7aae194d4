"""What a stub expects of a request, as it is written: literals, `contains`, regular expressions, JSON paths."""

from __future__ import annotations

from typing import Annotated, Any, Self

import jsonschema_rs
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    model_serializer,
    model_validator,
)

from bananastand.contracts.json_body import dump

__all__ = ["MISSING", "JsonPattern", "RequestPattern", "TextPattern", "ValuePattern"]

LONGEST_EXPRESSION = 1000  # characters of a regular expression or a JSON path


class _Missing:
    def __repr__(self) -> str:
        return "(missing)"


MISSING = _Missing()  # what a request does not have


class ValuePattern(BaseModel):
    """What one value must be; every condition that is set must hold."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    equal_to: JsonValue = None
    """The value itself, of the same type."""
    contains: str | None = None
    """A part of the text, or an item of the list."""
    matches: str | None = Field(default=None, max_length=LONGEST_EXPRESSION)
    """A regular expression for all of the text, without look-around and back references, so that it takes linear time.
    A value that is no text is matched as compact JSON."""
    absent: bool | None = None
    """True where there must be no value, False where any value will do."""
    _expression: Any = PrivateAttr(None)

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("set equal_to, contains, matches or absent")
        if self.matches is not None:
            self._expression = _compile_expression(self.matches)
        return self

    @model_serializer(mode="plain")
    def _shorten(self) -> Any:
        """Write a literal as itself."""
        conditions = {name: getattr(self, name) for name in sorted(self.model_fields_set)}
        is_literal = conditions.keys() == {"equal_to"} and isinstance(self.equal_to, str | bool | int | float)
        return self.equal_to if is_literal else conditions

    def accepts(self, value: Any) -> bool:
        """Return whether a value has everything; of a list, one item may have it."""
        if self._has(value):
            return True
        return isinstance(value, list) and any(self._has(item) for item in value)

    def _has(self, value: Any) -> bool:
        if value is MISSING or self.absent is not None:
            if (value is MISSING) != bool(self.absent):
                return False
            if value is MISSING:
                return True
        if "equal_to" in self.model_fields_set and not _same(self.equal_to, value):
            return False
        if self.contains is not None and not (isinstance(value, str | list) and self.contains in value):
            return False
        return self._expression is None or self._expression.is_valid(
            value if isinstance(value, str) else dump(value).decode()
        )


def _literal(value: Any) -> Any:
    """Read a value that is no object of conditions as `equal_to`."""
    return value if isinstance(value, dict | ValuePattern) else {"equal_to": value}


def _text_literal(value: Any) -> Any:
    """Read a literal as the text that HTTP carries."""
    if isinstance(value, bool | int | float):
        value = dump(value).decode()
    return _literal(value) if isinstance(value, str) else value


TextPattern = Annotated[
    ValuePattern, BeforeValidator(_text_literal, json_schema_input_type=str | bool | float | ValuePattern)
]
JsonPattern = Annotated[ValuePattern, BeforeValidator(_literal, json_schema_input_type=Any)]


class RequestPattern(BaseModel):
    """What a request must have; what is left out may be anything."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    provider: str | None = None
    """The provider's name."""
    operation: str | None = None
    """The operationId."""
    method: str | None = Field(default=None, pattern=r"^[A-Za-z]{1,20}$")
    """The HTTP method."""
    path: TextPattern | None = None
    """The path below the provider's mount. In a literal, `{name}` stands for one part: `/v1/models/{id}`."""
    query: dict[str, TextPattern] = Field(default_factory=dict[str, ValuePattern])
    """Query parameters by name."""
    headers: dict[str, TextPattern] = Field(default_factory=dict[str, ValuePattern])
    """Headers by name; upper and lower case are the same."""
    body: JsonValue = None
    """The JSON body. An object may hold more than this; everything else must be equal."""
    body_text: TextPattern | None = None
    """The body as text."""
    body_paths: dict[str, JsonPattern] = Field(default_factory=dict[str, ValuePattern])
    """Values by JSON path (RFC 9535), such as `$.modelInputs.prompt`; one that a path finds must fit.
    The functions `match` and `search` are left out."""
    _paths: list[tuple[str, Any, ValuePattern]] = PrivateAttr(default_factory=list[tuple[str, Any, ValuePattern]])

    @model_validator(mode="after")
    def _compile(self) -> Self:
        if self.method is not None:
            self.method = self.method.upper()
        literal = self.path.equal_to if self.path is not None else None
        if isinstance(literal, str) and (not literal.startswith("/") or "?" in literal):
            raise ValueError("path begins with / and has no query: put parameters into query")
        self._paths = [(path, _compile_path(path), value) for path, value in self.body_paths.items()]
        return self

    @property
    def paths(self) -> list[tuple[str, Any, ValuePattern]]:
        """The JSON paths, as written and compiled, and what they must find."""
        return self._paths

    def describe(self) -> str:
        """Return the pattern in a few words, such as `POST start_run, body modelKey`."""
        words = [word for word in (self.provider, self.method, self.operation) if word]
        if self.path is not None:
            words.append(str(self.path.model_dump()))
        conditions = [
            f"{part} {', '.join(names)}"
            for part, names in (("query", self.query), ("headers", self.headers), ("body", self.body_paths))
            if names
        ]
        if self.body is not None or self.body_text is not None:
            conditions.append("body")
        return ", ".join([" ".join(words) or "every call", *conditions])


def _same(expected: Any, value: Any) -> bool:
    return expected == value and isinstance(expected, bool) == isinstance(value, bool)


def _compile_expression(expression: str) -> Any:
    try:
        for text in (expression, f"^(?:{expression})$"):  # by itself first: it may close the group
            validator = jsonschema_rs.Draft202012Validator(
                {"type": "string", "pattern": text}, pattern_options=jsonschema_rs.RegexOptions()
            )
    except (jsonschema_rs.ValidationError, ValueError):
        raise ValueError(
            f"matches: {expression[:80]} is no regular expression without look-around and back references"
        ) from None
    return validator


def _compile_path(path: str) -> Any:
    if len(path) > LONGEST_EXPRESSION:
        raise ValueError(f"body_paths: a path is longer than {LONGEST_EXPRESSION} characters")
    from jsonpath import JSONPathEnvironment  # imported where a stub uses a path
    from jsonpath.exceptions import JSONPathError

    environment = JSONPathEnvironment(strict=True)
    for name in ("match", "search"):  # their regular expressions may take forever
        del environment.function_extensions[name]
    try:
        return environment.compile(path)
    except JSONPathError as error:
        raise ValueError(f"body_paths: {path[:80]} is no JSON path: {error.args[0]}") from None
