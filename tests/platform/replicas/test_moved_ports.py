"""The sockets that an app says it listens on: callers are led to them, so they are on this machine alone."""

from __future__ import annotations

from typing import Any

import pytest

from bananastand.platform.replicas.moved_ports import MovedPorts


@pytest.mark.parametrize(
    ("requested", "address", "port"),
    [(8000, "169.254.169.254", 80), (8000, "db.internal", 5432), (8000, "127.0.0.1", 0), (8000, "127.0.0.1", 70_000),
     (8000, "127.0.0.1", "80"), (None, "127.0.0.1", 80), (8000, None, 80), (8000, "0.0.0.0", 80)],
)  # fmt: skip
def test_an_app_that_names_another_machine_gets_no_calls_there(requested: Any, address: Any, port: Any) -> None:
    changes = list[None]()
    ports = MovedPorts(lambda: changes.append(None))
    ports.add(requested, address, port)
    assert (dict(ports.addresses), changes) == ({}, [])

    ports.add(8000, "127.0.0.1", 40_000)
    ports.add(8001, "::1", 40_001)
    assert dict(ports.addresses) == {8000: ("127.0.0.1", 40_000), 8001: ("::1", 40_001)}
