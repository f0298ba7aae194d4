"""The keys of a new world have their provider's form, and no two worlds share one."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest

from bananastand.clients.lowcodeapi import LowCodeAPI
from bananastand_mocks.kernel.ids import Ids
from bananastand_mocks.providers import NAMES, build

FORMS = {
    "lowcodeapi": r"at_r[0-9a-f]{32}",
    "banana": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "fal": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}:[0-9a-f]{32}",
    "gobananas": r"sk_live_[a-z0-9]{32}",
    "paperbanana": r"pb_[0-9a-f]{32}",
    "paperbanana-admin": r"admin-[0-9a-f]{24}",
}
MADE: list[Any] = [
    pytest.param(credential, id=f"{name} {credential.kind}")
    for name in NAMES
    for credential in build([name])[0].credentials
]


@pytest.mark.parametrize("credential", MADE)
def test_a_key_has_its_providers_form(credential: Any) -> None:
    first, second = (credential.mint(Ids(Random(seed))) for seed in (1, 2))

    assert re.fullmatch(FORMS[credential.kind], first)
    assert first != second
    assert credential.mint(Ids(Random(1))) == first


def test_a_provider_behind_the_gateway_is_at_its_address() -> None:
    assert LowCodeAPI("any").base_url == "https://api.lowcodeapi.com/any"
    assert LowCodeAPI("any").name == "any"
