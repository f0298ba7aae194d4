"""The desk's client of PaperBanana, against the mock."""

import pytest

from desk.clients import PaperBanana
from desk.http import Refused
from mocks.notebook import Notebook


def test_a_plot_is_waited_for(paperbanana, stand):
    stand.tasks.finish_after_polls(2)
    log = Notebook()

    figure = PaperBanana(paperbanana.base_url, paperbanana.key, log).plot({"a": 1, "b": 2}, "as bars", poll=0)

    assert figure.png.startswith(b"\x89PNG")
    assert figure.caption
    assert log[0] == "pending"
    assert stand.journal.verify(exactly=3, operation="get_task").verified


def test_a_plot_that_fails(paperbanana, stand):
    stand.tasks.fail_next(1, "out of ink")
    with pytest.raises(RuntimeError, match="out of ink"):
        PaperBanana(paperbanana.base_url, paperbanana.key, Notebook()).plot([1], "a line", poll=0)


def test_a_wrong_key(paperbanana):
    with pytest.raises(Refused, match="Invalid API key") as caught:
        PaperBanana(paperbanana.base_url, "pb_nobody", Notebook()).plot([1], "a line")
    assert caught.value.status == 401


def test_the_service_is_down_for_a_moment(paperbanana, stand):
    stand.faults.next_calls(1, "status", "create_plot", status=500)
    desk = PaperBanana(paperbanana.base_url, paperbanana.key, Notebook())
    with pytest.raises(Refused):
        desk.plot([1], "a line", poll=0)
    assert desk.plot([1], "a line", poll=0).png
