"""The call that `deploy` prints: as a command and as curl, without a key in it."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

__all__ = ["first_call"]

DEFAULT_INPUTS = {"prompt": "a large yellow banana on a purple background"}
MAX_INPUTS = 600  # characters of inputs that are printed


def first_call(project: str, url: str, example: dict[str, Any] | None) -> str:
    """Return two ways to call a project; the key is written as $BANANASTAND_KEY.

    Args:
        project: Name of the project.
        url: URL of the project.
        example: Its example inputs, if it has some.
    """
    inputs = DEFAULT_INPUTS if example is None else example
    body = json.dumps(inputs, ensure_ascii=False)
    if len(body) > MAX_INPUTS:  # pictures in base64
        options, body = "-d @inputs.json", "@inputs.json"
        note = "\n(inputs.json: the example_input of banana_config.json, which is too long to print)\n"
    else:
        options, note = _options(inputs, body), ""
    return (
        f"  bananastand run {shlex.quote(project)}{options and ' ' + options}\n\n"
        "or, with a key in BANANASTAND_KEY (bananastand keys create makes one):\n\n"
        f'  curl -s -X POST {shlex.quote(url + "/")} -H "X-Banana-API-Key: $BANANASTAND_KEY" '
        f"-H 'Content-Type: application/json' -d {shlex.quote(body)}\n{note}"
    )


def _options(inputs: dict[str, Any], body: str) -> str:
    """Return `-i NAME=VALUE` for each input, or one JSON object where a name or value is not plain."""
    plain = all(
        re.fullmatch(r"[^=\s-][^=\s]*", name) and not isinstance(value, (dict, list)) for name, value in inputs.items()
    )
    if not plain:
        return f"-d {shlex.quote(body)}"
    return " ".join(f"-i {_quoted(name, value)}" for name, value in inputs.items())


def _quoted(name: str, value: Any) -> str:
    text = value if isinstance(value, str) and not _is_json(value) else json.dumps(value, ensure_ascii=False)
    if re.fullmatch(r"[\w ,.:;/()?+-]*", text) and " " in text:
        return f'{name}="{text}"'
    return f"{name}={shlex.quote(text)}" if text else f"{name}=''"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
