"""The platform's end of the bridge, and a process at the other end that sends nonsense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bananastand.cluster import bridge as bridges
from bananastand.cluster.bridge import Bridge
from paths import SUPPORT
from stands import until


async def test_a_message_that_is_none_ends_neither_the_bridge_nor_its_next_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridges, "MODULE", "lying_bridge")
    messages, losses = list[dict[str, Any]](), list[None]()

    def on_message(message: dict[str, Any]) -> None:
        messages.append(message["nodes"] if message["kind"] == "nodes" else message)

    environment = {"PYTHONPATH": str(SUPPORT)}
    bridge = Bridge({}, environment, on_message, lambda: losses.append(None), tmp_path / "bridge.log")
    bridge.start()
    try:
        await until(lambda: len(messages) == 2)
        assert messages == [{"kind": "good"}] * 2
        assert len(losses) == 1
    finally:
        monkeypatch.setattr(bridges, "END_TIMEOUT", 0.1)
        await bridge.close()
