"""What all mocks share, at its edges; called directly."""

from __future__ import annotations

import pytest

from bananastand_mocks.kernel.limits import Allowance, RateLimits


@pytest.mark.parametrize(("calls", "seconds"), [(-1, 1), (1, 0), (1, -0.5), (-1, 0)])
def test_a_limit_that_is_none(calls: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="calls is 0 or more, seconds more than 0"):
        RateLimits().set("rule", calls, seconds)


def test_a_limit_may_allow_nothing_and_last_a_moment() -> None:
    limits = RateLimits()
    limits.set("rule", 0, 0.5)
    assert limits.take("rule", "a", 10.0) == Allowance(False, 0, 0, 10.5)
    limits.set("rule", 1, 0.5)
    assert [limits.take("rule", "a", at) for at in (10.0, 10.4, 10.5)] == [
        Allowance(True, 1, 0, 10.5), Allowance(False, 1, 0, 10.5), Allowance(True, 1, 0, 11.0),
    ]  # fmt: skip
