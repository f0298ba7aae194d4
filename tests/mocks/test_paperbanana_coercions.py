"""PaperBanana reads numbers and booleans laxly; pydantic, which its published source uses, is the witness."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from bananastand_mocks.paperbanana import PaperBananaProvider
from in_process import InProcess

KEY = {"authorization": "Bearer pb_" + "0" * 32}
ADMIN = {"authorization": "Bearer admin-bananastand"}
DIAGRAM = {"source_context": "An encoder feeds a decoder.", "caption": "Our method"}


class LaxRequest(BaseModel):
    """The fields as the source declares them (zhwcoding/paperbanana, api_server.py)."""

    iterations: int = Field(default=3, ge=1, le=10)
    webhook_include_image: bool = False


@pytest.fixture
def call() -> InProcess:
    return InProcess(PaperBananaProvider())


def pydantic_takes(fields: dict[str, Any]) -> bool:
    try:
        LaxRequest(**fields)
    except ValidationError:
        return False
    return True


NUMBERS = ["3", " 3 ", "3.0", "+3", "1_0", 3.0, True, "3.5", 3.5, "", "x", "0x3", "11", "0", [3]]
BOOLEANS = ["yes", "No", "on", "off", "TRUE", "t", "n", "1", "0", 1, 0, 1.0, "5", 5, " yes ", "", []]


@pytest.mark.parametrize(
    "fields", [*({"iterations": value} for value in NUMBERS), *({"webhook_include_image": value} for value in BOOLEANS)]
)
def test_a_value_is_read_where_pydantic_reads_it(call: InProcess, fields: dict[str, Any]) -> None:
    answer = call("POST", "/api/generate", json={**DIAGRAM, **fields}, headers=KEY)

    assert answer.status_code == (202 if pydantic_takes(fields) else 422), answer.text


def test_what_was_read_counts_and_the_journal_has_what_was_sent(call: InProcess) -> None:
    task = call("POST", "/api/generate", json={**DIAGRAM, "iterations": "5"}, headers=KEY).json()["task_id"]

    assert call("GET", f"/api/admin/history/{task}", headers=ADMIN).json()["input_params"]["iterations"] == 5
    assert call.world.journal.find(operation="create_diagram")[-1].body["iterations"] == "5"


def test_an_admin_may_send_a_quota_and_a_switch_as_text(call: InProcess) -> None:
    created = call("POST", "/api/admin/keys", json={"name": "mine", "quota": "5"}, headers=ADMIN).json()
    change = {"quota_remaining": "2", "active": "off", "webhook_url": None}
    changed = call("PATCH", f"/api/admin/keys/{created['key']}", json=change, headers=ADMIN).json()

    assert (created["quota_total"], changed["quota_remaining"], changed["active"]) == (5, 2, False)


def test_a_page_may_be_written_as_a_fraction_of_zero(call: InProcess) -> None:
    answer = call("GET", "/api/admin/history?page=1.0&size=%202", headers=ADMIN)

    assert (answer.json()["page"], answer.json()["size"]) == (1, 2)
    assert call("GET", "/api/admin/history?page=1.5", headers=ADMIN).status_code == 422


def test_a_text_stays_a_text(call: InProcess) -> None:
    answer = call("POST", "/api/generate", json={**DIAGRAM, "caption": 1}, headers=KEY)

    assert answer.json() == {"detail": "caption: Input should be a valid string"}
