"""The pages on the clients: every example runs against the mocks, and every method has an example."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest

from bananastand.clients import errors
from bananastand.clients.client import AsyncClient, Client
from bananastand.clients.session import Pause
from bananastand_mocks.running import MockSession, RunningServer
from client_calls import CLIENTS
from paper_pdf import paper

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "clients"
PAGES = {"banana": "banana-native", "falqueue": "fal-queue"}
PAGES |= {name: name for name in ("bananadev", "falai", "gobananas", "paperbanana")}
FENCE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
VARIABLES = {
    "BANANA_API_KEY": "banana",
    "LOWCODEAPI_TOKEN": "lowcodeapi",
    "FAL_KEY": "fal",
    "GOBANANAS_API_KEY": "gobananas",
    "PAPERBANANA_API_KEY": "paperbanana",
    "PAPERBANANA_ADMIN_KEY": "paperbanana-admin",
}


def blocks(page: str) -> list[str]:
    return FENCE.findall((FOLDER / f"{page}.md").read_text(encoding="utf-8"))


@pytest.fixture
def stand(mock_server: RunningServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A world a thousand times faster than the wall, whose keys are in the environment; a paper is at hand."""
    world = mock_server.asgi.worlds.create(kind="development", seed=0, virtual=False, speed=1000.0)
    world.settings["falqueue.seconds"] = [300.0, 300.0]  # time to cancel a request
    for variable, kind in VARIABLES.items():
        monkeypatch.setenv(variable, world.credentials[kind][0])
    monkeypatch.setattr(Client, "_sleep", staticmethod(lambda pause: time.sleep(briefly(pause))))
    monkeypatch.setattr(AsyncClient, "_sleep", staticmethod(lambda pause: asyncio.sleep(briefly(pause))))
    (tmp_path / "paper.pdf").write_bytes(paper())
    monkeypatch.chdir(tmp_path)
    yield MockSession(mock_server, world)
    breaches = world.breaches
    mock_server.asgi.worlds.remove(world)
    assert breaches == []


def briefly(pause: Pause) -> float:
    return min(pause.seconds, 0.02)


def executed(page: str, stand: MockSession, server: RunningServer) -> None:
    """All blocks of a page, one after the other, as a reader would type them."""
    namespace: dict[str, Any] = {"__name__": "page"}
    here = f"{server.url}/w/{stand.world.name}"
    for number, block in enumerate(blocks(page)):
        code = block.replace("http://127.0.0.1:8750", here)
        exec(compile(code, f"{page}.md, block {number}", "exec"), namespace)


@pytest.mark.parametrize("page", ["README", *PAGES])
def test_the_examples_of_a_page_run(page: str, stand: MockSession, mock_server: RunningServer) -> None:
    executed(page, stand, mock_server)

    if page == "README":
        return
    documented = {name for name in methods(page) if operation(page, name)}
    succeeded = {call.operation for call in stand.journal if call.provider == PAGES[page] and call.status < 400}
    assert documented - succeeded == set()


def methods(page: str) -> list[str]:
    return [name for name in vars(CLIENTS[PAGES[page]][0]) if not name.startswith("_") and name != "provider"]


def operation(page: str, name: str) -> bool:
    """Whether a method is one operation, and no wait, no iterator and no way to save."""
    from contracts import contract, operations

    return name in {op.spec.get("operationId") for op in operations(contract(PAGES[page]))}


@pytest.mark.parametrize("page", PAGES)
def test_every_method_is_named_and_called_on_its_page(page: str) -> None:
    text, code = (FOLDER / f"{page}.md").read_text(encoding="utf-8"), "\n".join(blocks(page))

    assert [name for name in methods(page) if f"**`{name}(" not in text] == []
    assert [name for name in methods(page) if not re.search(rf"\.{name}\(", code)] == []


@pytest.mark.parametrize("page", ["README", *PAGES])
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", (FOLDER / f"{page}.md").read_text(encoding="utf-8"))

    assert targets
    assert [target for target in targets if not (FOLDER / target).exists()] == []


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    (tree,) = re.findall(r"^```text\n(.*?)^```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert tree in (errors.__doc__ or "")


def test_the_keys_of_the_pages_are_the_mocks(mock_server: RunningServer) -> None:
    exported = {
        name: value
        for page in PAGES
        for name, value in re.findall(r"^export (\w+)=(\S+)$", (FOLDER / f"{page}.md").read_text(), re.M)
    }
    known = mock_server.default.world.credentials
    assert exported == {name: known[kind][0] for name, kind in VARIABLES.items()}
