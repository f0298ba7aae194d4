"""Every operation's answers, word for word: good ones and refusals, in the order of the conformance plans.

What a contract leaves open (a text, a default, an order, a value of what is ready-made) is here as it stands in
`answers/`. A change of a mock that is meant is written down with

    rm -r contract_tests/contracts/answers
    RECORD_ANSWERS=1 python -m pytest contract_tests/contracts

and read in the diff. Pictures are left out: how many bytes they have depends on the libraries that write them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from bananastand_mocks.conformance import conform
from bananastand_mocks.conformance.judge import ReceivedResponse
from bananastand_mocks.conformance.session import ConformanceSession
from bananastand_mocks.running import MockSession
from contracts import FILES
from kept import kept

OTHERWISE = {  # in each run, or with each release of the libraries that write pictures
    r"/w/w[0-9a-f]+": "",
    r"127\.0\.0\.1:\d+": "<host>",
    r"pub-[0-9a-f]{32}": "<public>",
    r"python-httpx2/[\d.]+": "<agent>",
    r'"size_bytes": ?\d+': '"size_bytes": 0',
    r"[A-Za-z0-9+/]{400,}=*": "<picture>",
}
HEADERS = re.compile(r"content-type|location|retry-after|www-authenticate|x-.*|access-control-.*|cache-control|vary")
MARKS = {"key": "<key>", "admin_key": "<admin key>"}


class Heard:
    """Answers as they come over the wire, without what another run has otherwise."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.answers: list[dict[str, Any]] = []
        self._secrets = secrets

    def note(self, method: str, url: str, got: ReceivedResponse) -> None:
        """One exchange."""
        headers = {name: self._plain(value) for name, value in sorted(got.headers.items()) if HEADERS.fullmatch(name)}
        self.answers.append(
            {"asked": f"{method} {self._plain(url)}", "status": got.status, "headers": headers, "body": self._body(got)}
        )

    def _body(self, got: ReceivedResponse) -> Any:
        kind = got.headers.get("content-type", "")
        if kind.startswith(("image/", "application/pdf", "application/octet-stream")):
            return None
        text = self._plain(got.content.decode())
        return json.loads(text) if kind.startswith("application/json") and text else text

    def _plain(self, text: str) -> str:
        for secret, mark in self._secrets.items():
            text = text.replace(secret, mark).replace(secret[:9], mark)  # lists show the beginning of a key
        for pattern, instead in OTHERWISE.items():
            text = re.sub(pattern, instead, text)
        return text


@pytest.mark.parametrize("provider", FILES)
def test_answers_are_what_they_were(provider: str, stand: MockSession, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.tasks.finish_immediately()
    stand.limits.unset("gobananas")
    at = stand.endpoint(provider)
    heard = Heard({value: mark for name, mark in MARKS.items() if (value := getattr(at, name))})
    send = ConformanceSession.send

    def listening(
        self: ConformanceSession, method: str, url: str, headers: Mapping[str, str], content: bytes | None
    ) -> ReceivedResponse:
        got = send(self, method, url, headers, content)
        heard.note(method, url, got)
        return got

    monkeypatch.setattr(ConformanceSession, "send", listening)
    list(conform(provider, at.base_url, key=at.key, admin_key=at.admin_key or None, patience=20, write=True))

    assert heard.answers == [kept(provider, f"{number:03}", now) for number, now in enumerate(heard.answers)]
    assert kept(provider, f"{len(heard.answers):03}", None) is None
