"""What else was published around Banana's API: wrappers on PyPI, and SDKs of Go, Rust and PHP by the bytes they send.

The requests of the latter are written down from their sources; this machine need not have their compilers.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paths import PATHS, SUPPORT
from sdk_packages import PythonSdks, deploy_apps, exports
from servers import free_port
from stands import Up

FRONT, PROXY = free_port(), free_port()
ID = "6f2b7bd7-0b76-4c43-9a3e-0c8f7d6f2f10"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    running = Up(tmp_path_factory.mktemp("others") / "data", fronts=[[FRONT, "template"]], proxy=PROXY)
    deploy_apps(running)
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture(scope="module")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> PythonSdks:
    return PythonSdks(tmp_path_factory.mktemp("packages"))


def model_key(up: Up, name: str = "template") -> str:
    key: str = up.http.get(f"/stand/v1/projects/{name}").json()["model_key"]
    return key


def sent(port: int, head: list[str], body: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON that these bytes are answered."""
    raw = body.encode()
    lines = [*head, f"Content-Length: {len(raw)}", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join(lines).encode() + raw)
        file = connection.makefile("rb")
        status = int(file.readline().split()[1])
        headers = dict(line.decode().lower().strip().split(": ", 1) for line in iter(file.readline, b"\r\n"))
        found: dict[str, Any] = json.loads(file.read(int(headers["content-length"])))
        return status, found


def program(python: Path, code: str, environment: dict[str, str], home: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **environment}
    ran = subprocess.run([str(python), "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.splitlines()[-1]


GO = [
    "Host: api.banana.dev",
    "User-Agent: Go-http-client/1.1",
    "Content-Type: application/json",
    "Accept-Encoding: gzip",
]


def test_the_go_sdk_starts_and_checks_with_version_2(up: Up) -> None:
    """Its `config` is empty, and it is sent without TLS, to the host name."""
    body = (
        f'{{"id":"{ID}","created":{int(time.time())},"apiKey":"{up.key}","modelKey":"{model_key(up)}",'
        '"modelInputs":{"prompt":"one two"},"config":{"machineID":""}}'
    )
    status, began = sent(up.port, ["POST /start/v2/ HTTP/1.1", *GO], body)
    assert status == 200
    assert began["callID"].startswith("call_")
    assert isinstance(began["created"], int)

    check = f'{{"id":"{ID}","created":1,"apiKey":"{up.key}","longPoll":true,"callID":"{began["callID"]}"}}'
    _, checked = sent(up.port, ["POST /check/v2/ HTTP/1.1", *GO], check)
    assert (checked["message"], checked["modelOutputs"][0]["words"]) == ("success", 2)


def test_the_go_sdk_reaches_bananas_own_address_by_http_proxy(up: Up) -> None:
    """Go's client sends an absolute address to the proxy of HTTP_PROXY."""
    body = (
        f'{{"id":"{ID}","created":1,"apiKey":"{up.key}","modelKey":"{model_key(up)}","modelInputs":{{"prompt":"a"}}}}'
    )
    status, began = sent(PROXY, ["POST http://api.banana.dev/start/v2/ HTTP/1.1", *GO], body)

    assert (status, began["message"]) == (200, "")
    assert began["callID"].startswith("call_")


def test_the_first_go_and_node_sdks_check_without_a_key(up: Up) -> None:
    start = (
        f'{{"id":"{ID}","created":1637800000,"data":{{"apiKey":"{up.key}","modelKey":"{model_key(up)}",'
        '"modelParameters":{"prompt":"one two three"}}}'
    )
    status, began = sent(up.port, ["POST /api/task/start/v1/ HTTP/1.1", *GO], start)
    assert (status, began["success"], began["id"]) == (200, True, ID)

    check = f'{{"id":"{ID}","created":1,"longPoll":true,"data":{{"taskID":"{began["data"]["taskID"]}"}}}}'
    _, checked = sent(up.port, ["POST /api/task/check/v1/ HTTP/1.1", *GO], check)
    assert (checked["success"], checked["data"]["taskStatus"]) == (True, "Done")
    assert checked["data"]["taskOut"]["words"] == 3


def test_the_rust_sdk_counts_milliseconds(up: Up) -> None:
    head = ["content-type: application/json", "accept: */*", "host: api.banana.dev"]
    body = (
        f'{{"id":"{ID}","created":{int(time.time() * 1000)},"apiKey":"{up.key}","modelKey":"{model_key(up)}",'
        '"modelInputs":{"prompt":"Paris is the [MASK]"},"startOnly":false}'
    )
    status, response = sent(up.port, ["POST /start/v4/ HTTP/1.1", *head], body)

    assert (status, response["finished"], response["modelOutputs"][0]["words"]) == (200, True, 4)
    assert {"id", "message", "created", "apiVersion"} <= set(response)  # those that it does not take as optional


PHP = ["User-Agent: Symfony HttpClient (Curl)", "Content-Type: application/json", "Accept-Encoding: gzip"]


def test_the_php_sdk_calls_a_run_url_and_manages_projects(up: Up) -> None:
    """json_encode writes / as \\/ and letters as \\u escapes; an empty array is sent as {}."""
    head = [*PHP, f"X-BANANA-API-KEY: {up.key}", f"X-BANANA-REQUEST-ID: {uuid.uuid4()}"]
    host = ["Host: template.run.banana.dev"]
    status, answer = sent(up.port, ["POST / HTTP/1.1", *host, *head], r'{"prompt":"a\/b gr\u00f6\u00dfe"}')
    assert (status, answer["inputs"]) == (200, {"prompt": "a/b größe"})

    host = ["Host: potassium.run.banana.dev"]
    assert sent(up.port, ["POST /_k/warmup HTTP/1.1", *host, *head], "{}") == (200, {"warm": True})

    host = ["Host: api.banana.dev", "Accept: application/json"]
    status, listed = sent(up.port, ["GET /v1/projects? HTTP/1.1", *host, *head], "")
    assert {"own", "potassium", "template"} <= {project["name"] for project in listed["results"]}
    id = listed["results"][0]["id"]
    status, changed = sent(up.port, [f"PUT /v1/projects/{id} HTTP/1.1", *host, *head], '{"idleTimeout":32}')
    assert (status, changed["idleTimeout"]) == (200, 32)


@pytest.mark.needs("uv")
@pytest.mark.parametrize(("version", "module"), [("4.0.2", "banana_dev"), ("6.3.0", "banana_dev.package")])
def test_banana_server_calls_a_front_directly(
    version: str, module: str, up: Up, sdks: PythonSdks, tmp_path: Path
) -> None:
    """4.0.2 and the old calls in later versions send the inputs alone to BANANA_SERVER, without a key."""
    code = (
        f"import json, {module} as banana\n"
        "print(json.dumps(banana.run('', '', {'prompt': 'no key'})['modelOutputs']))"
    )
    environment = {"BANANA_SERVER": f"http://127.0.0.1:{FRONT}/"}

    output = program(sdks.python(f"banana-dev=={version}"), code, environment, tmp_path)

    assert json.loads(output) == [{"words": 2, "inputs": {"prompt": "no key"}}]


AIOBANANAS = """
import asyncio, json
from aiobananas.generics import Session

async def calls():
    async with Session({key!r}) as session:
        finished = await session.run_main({model!r}, {{"prompt": "all at once"}})
        call = await session.start_main({model!r}, {{"prompt": "a start"}})
        while (checked := await session.check_api(call)).message != "success":
            pass
        return [finished.modelOutputs[0]["words"], checked.modelOutputs[0]["words"]]

print(json.dumps(asyncio.run(calls())))
"""


@pytest.mark.needs("uv")
def test_aiobananas_runs_starts_and_checks(up: Up, sdks: PythonSdks, tmp_path: Path) -> None:
    environment = {"BANANA_URL": f"http://127.0.0.1:{up.port}/banana/"}
    code = AIOBANANAS.format(key=up.key, model=model_key(up))

    output = program(sdks.python("aiobananas==4.0.1.post2"), code, environment, tmp_path)

    assert json.loads(output) == [3, 2]


def on_a_machine_with_a_hosts_file(folder: Path, *command: str) -> str:
    """What a program says where Banana's names are in /etc/hosts: a namespace with its own loopback and port 443."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost my-app.run.banana.dev api.banana.dev\n")
    alone = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(hosts), "/etc/hosts", "--unshare-net", "--unshare-user"]
    alone += ["--uid", "0", "--cap-add", "CAP_NET_BIND_SERVICE"]
    inside = [sys.executable, str(SUPPORT / "sdks" / "by_hosts_file.py"), str(folder / "data"), *command]
    environment = {
        **os.environ,
        "PYTHONPATH": PATHS,
    }
    ran = subprocess.run([*alone, *inside], env=environment, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.splitlines()[-1]


@pytest.mark.needs("uv", "bwrap")
def test_a_program_that_heeds_no_proxy_is_led_by_a_hosts_file(sdks: PythonSdks, tmp_path: Path) -> None:
    """aiobananas has no address of its own set, and its HTTP library reads no HTTPS_PROXY."""
    python = sdks.python("aiobananas==4.0.1.post2")

    output = on_a_machine_with_a_hosts_file(tmp_path, str(python), "-c", AIOBANANAS.format(key="KEY", model="MODEL"))

    assert json.loads(output) == [3, 2]


@pytest.mark.needs("node", "bwrap")
def test_a_node_program_without_the_hook_is_led_by_a_hosts_file(tmp_path: Path) -> None:
    code = (
        "fetch('https://my-app.run.banana.dev/', {method: 'POST', body: JSON.stringify({prompt: 'one'}), headers: "
        "{'x-banana-api-key': 'KEY', 'content-type': 'application/json'}}).then((a) => a.text()).then(console.log)"
    )

    assert json.loads(on_a_machine_with_a_hosts_file(tmp_path, "node", "-e", code))["words"] == 1


LANGCHAIN = """
from langchain_community.llms import Banana
llm = Banana(model_key={model!r}, model_url_slug="llm", banana_api_key={key!r}, model_kwargs={{"temperature": 1}})
print(llm.invoke("Call me Banana", stop=["STOP"]))
"""


@pytest.mark.slow
@pytest.mark.needs("uv")
def test_langchains_banana_calls_the_address_that_it_has_built_in(up: Up, sdks: PythonSdks, tmp_path: Path) -> None:
    assert up.deploy("llm", "template")["state"] == "live"
    python = sdks.python("langchain-community==0.0.20", "banana-dev==5.1.0")
    code = LANGCHAIN.format(key=up.key, model=model_key(up, "llm"))

    assert program(python, code, exports(up), tmp_path) == "3 words: Call me Banana "


@pytest.mark.needs("uv")
def test_banana_dev_staging_is_a_client_of_the_fifth_generation(up: Up, sdks: PythonSdks, tmp_path: Path) -> None:
    code = (
        "import json\nfrom banana_dev import Client\n"
        f"client = Client({up.key!r}, {model_key(up)!r}, 'https://template.run.banana.dev/', False)\n"
        "print(json.dumps(client.call('', {'prompt': 'one'})[0]['words']))"
    )

    assert program(sdks.python("banana-dev-staging==5.0.1"), code, exports(up), tmp_path) == "1"
