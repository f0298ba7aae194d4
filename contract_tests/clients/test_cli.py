"""`bananastand call` against the mocks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bananastand.cli._app import build
from bananastand.cli.call import PROVIDERS
from bananastand_mocks.running import MockSession
from client_calls import CASES


def run(*words: str) -> Any:
    return CliRunner().invoke(build(), ["call", *words])


def test_the_providers_are_listed() -> None:
    output = run().stdout

    assert [name for name in PROVIDERS if f"  {name} " in output] == list(PROVIDERS)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_operation_is_listed_and_explained(provider: str) -> None:
    listed = [line.split()[0] for line in run(provider).stdout.splitlines()]

    contract = {"banana": "banana-native", "falqueue": "fal-queue"}.get(provider, provider)
    documented = {case.operation for case in CASES if case.provider == contract}
    documented |= {"upload_image"} if provider == "gobananas" else set()
    assert listed == sorted(name.replace("_", "-") for name in documented)
    for name in listed:
        help_page = run(provider, name, "--help")
        assert help_page.exit_code == 0
        assert f"usage: bananastand call {provider} {name}" in help_page.stdout


def test_an_answer_is_printed_as_json(bananadev: Any) -> None:
    where = ("--url", bananadev.base_url, "--key", bananadev.key)

    done = run("bananadev", "run", "--model-key", "value", "--model-inputs", '{"prompt": "a ripe banana"}', *where)

    answer = json.loads(done.stdout)
    assert answer["finished"] is True
    assert answer["callID"] == ""
    assert answer["modelOutputs"]


def test_the_key_of_an_operation_and_that_of_the_connection_are_told_apart(paperbanana: Any) -> None:
    where = ("--url", paperbanana.base_url, "--admin-key", paperbanana.admin_key)
    key = json.loads(run("paperbanana", "create-key", "--name", "mine", *where).stdout)["key"]

    assert json.loads(run("paperbanana", "get-key", "--api-key", key, *where).stdout)["name"] == "mine"
    assert json.loads(run("paperbanana", "get-health", "--url", paperbanana.base_url).stdout)["status"] == "ok"
    assert "--upload-key" in run("banana", "build-project", "--help").stdout


def test_the_address_may_come_from_the_environment(falai: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOWCODEAPI_BASE_URL", falai.base_url.removesuffix("/falai"))

    assert json.loads(run("falai", "list-models", "--limit", "1", "--key", falai.key).stdout)["models"]


def test_an_argument_is_read_from_a_file_and_an_answer_written_to_one(falai: Any, tmp_path: Path) -> None:
    (tmp_path / "requests.json").write_text('[{"method": "GET", "path": "/v1/pricing"}]')
    where = ("--url", falai.base_url, "--key", falai.key, "-o", str(tmp_path / "answer.json"))

    done = run("falai", "batch", "--requests", f"@{tmp_path / 'requests.json'}", *where)

    assert (done.exit_code, done.stdout) == (0, "")
    assert json.loads((tmp_path / "answer.json").read_text())["responses"][0]["status"] == 200


def test_an_answer_that_cannot_be_written_is_one_line(falai: Any) -> None:
    done = run("falai", "list_models", "--url", falai.base_url, "--key", falai.key, "-o", "/nowhere/answer.json")

    assert (done.exit_code, done.stderr) == (2, "error: /nowhere/answer.json: No such file or directory\n")


def test_the_timeout_of_a_call_goes_before_that_of_its_operation(gobananas: Any, stand: MockSession) -> None:
    stand.faults.next_calls(1, "latency", "create_image", seconds=5)
    where = ("--url", gobananas.base_url, "--key", gobananas.key)
    done = run("gobananas", "create-image", "--prompt", "a pear", "--timeout", "0.3", *where)

    assert (done.exit_code, "no answer within 0.3 s" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("nobody",), "there is no provider nobody"),
        (("falai", "nothing"), "falai has no operation nothing"),
        (("falai", "get-model"), "the following arguments are required: --model-id"),
        (("falai", "list-models", "--limit", "two"), "argument --limit: invalid int value: 'two'"),
        (("falai", "batch", "--requests", "[{"), "argument --requests: not JSON"),
        (("falai", "get-analytics", "--metric", "joy"), "argument --metric: invalid choice: 'joy'"),
        (("banana", "put-upload", "--upload-url", "http://x", "--archive", "/nowhere"), "/nowhere: No such file"),
        (("falai", "list-models"), "set LOWCODEAPI_TOKEN"),
        (
            ("falai", "list-models", "--key", "at_r0", "--timeout", "0"),
            "timeout is 0.0: it must be more than 0",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_two(
    words: tuple[str, ...], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOWCODEAPI_TOKEN", raising=False)

    done = run(*words)

    assert done.exit_code == 2
    assert text in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_providers_refusal_is_one_line_and_exit_status_one(bananadev: Any) -> None:
    done = run("bananadev", "get-model", "--model-key", "none", "--url", bananadev.base_url, "--key", bananadev.key)

    assert done.exit_code == 1
    assert "404 Model not found" in done.stderr
    assert bananadev.key not in done.stderr
