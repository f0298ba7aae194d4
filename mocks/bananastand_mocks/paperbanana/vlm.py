"""An optional vision language model (VLM) that plans what a figure shows.

Whatever answers follows the `Vlm` protocol. `OpenAIVlm` asks any server that speaks OpenAI's chat completions, which
is how gemini, openrouter, kie and apimart are reached. Without one the texts are read by rules.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from .rules import VLM_PROVIDERS

__all__ = ["OpenAIVlm", "Question", "Vlm", "VlmError", "configured"]

MODEL = "gemini-2.0-flash"  # the provider's own default (FACTS 5.7)
TIMEOUT = 120.0  # seconds of one answer
LONGEST = 200_000  # characters of an answer
URL, KEY = "BANANASTAND_VLM_URL", "BANANASTAND_VLM_KEY"


class VlmError(Exception):
    """No answer that is of use; the text is the error of the task."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `image` is a PNG, `provider` and `model` are the request's own choice, None where it has none."""

    system: str
    text: str
    image: bytes | None = None
    provider: str | None = None
    model: str | None = None


class Vlm(Protocol):
    """Answers a question in words. Blocks, and is called in a thread."""

    def ask(self, question: Question) -> str:
        """The answer. Raises VlmError."""
        ...


class OpenAIVlm:
    """Asks `{url}/chat/completions`. `urls` and `keys` are by provider; the one named "" stands for all others."""

    def __init__(
        self,
        urls: Mapping[str, str],
        keys: Mapping[str, str] | None = None,
        *,
        model: str = MODEL,
        timeout: float = TIMEOUT,
    ) -> None:
        self._urls = {name: url.rstrip("/") for name, url in urls.items()}
        self._keys = dict(keys or {})
        self._model, self._timeout = model, timeout

    def ask(self, question: Question) -> str:
        """The text of the first choice. Raises VlmError: not configured, unreachable, refused, no text."""
        from .. import forward

        name = question.provider or ("" if "" in self._urls else next(iter(self._urls)))
        url = self._urls.get(name) or self._urls.get("")
        label = name or "the VLM"
        if url is None:
            raise VlmError(f"VLM provider {name} is not configured on this server")
        key = self._keys.get(name) or self._keys.get("", "")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        payload = {"model": question.model or self._model, "messages": _messages(question)}
        try:
            answer = asyncio.run(
                forward.post(f"{url}/chat/completions", json=payload, headers=headers, timeout=self._timeout)
            )
        except forward.AppUnreachable as error:
            raise VlmError(f"{label} does not answer: {error}") from error
        if answer.status != 200:
            reason = _reason(answer.json)
            raise VlmError(f"{label} answered {answer.status}{': ' if reason else ''}{_without(reason, key)}")
        text = _text(answer.json)
        if not text.strip():
            raise VlmError(f"{label} answered without a text")
        return text[:LONGEST]


def configured(entries: Iterable[str], environ: Mapping[str, str], *, model: str | None = None) -> OpenAIVlm | None:
    """The brain of `URL` and `PROVIDER=URL` entries; None where there is no entry, in BANANASTAND_VLM_URL either.

    The key is BANANASTAND_VLM_KEY, a provider's own BANANASTAND_VLM_KEY_KIE and the like. Raises ValueError for an
    entry that cannot be read.
    """
    specifications = [*entries] or environ.get(URL, "").replace(",", " ").split()
    urls = dict(_entry(entry) for entry in specifications)
    if not urls:
        return None
    keys = {name: environ[f"{KEY}_{name.upper()}"] for name in VLM_PROVIDERS if environ.get(f"{KEY}_{name.upper()}")}
    return OpenAIVlm(urls, {**keys, "": environ.get(KEY, "")}, model=model or MODEL)


def _entry(entry: str) -> tuple[str, str]:
    name, equals, url = entry.partition("=")
    if not equals or "/" in name:
        name, url = "", entry
    elif name not in VLM_PROVIDERS:
        raise ValueError(f"{name!r} is no VLM provider; there are {', '.join(VLM_PROVIDERS)}")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{url!r} is no base URL such as https://openrouter.ai/api/v1")
    return name, url


def _messages(question: Question) -> list[dict[str, Any]]:
    content: Any = question.text
    if question.image is not None:
        data_url = f"data:image/png;base64,{base64.b64encode(question.image).decode()}"
        content = [{"type": "text", "text": question.text}, {"type": "image_url", "image_url": {"url": data_url}}]
    return [{"role": "system", "content": question.system}, {"role": "user", "content": content}]


def _text(answer: Any) -> str:
    """The words of a chat completion; empty where it has none."""
    try:
        content = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return ""
    return content if isinstance(content, str) else ""


def _reason(answer: Any) -> str:
    """What an error says of itself, as OpenAI's clients read it."""
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return " ".join(message.split())[:300] if isinstance(message, str) else ""


def _without(text: str, key: str) -> str:
    return text.replace(key, "[redacted]") if key else text
