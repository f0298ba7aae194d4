"""Every published Potassium in an environment of its time: our worker answers as the version's own server does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.compatibility.corpus import CORPUS
from tools.compatibility.potassium import FeatureRow, compare, make_environment, upstream_answers, worker_answers
from tools.compatibility.potassium_apps import APPS, VERSIONS, PotassiumVersion, Probe
from tools.compatibility.redis import RedisServer

QUICK = ("0.0.3", "0.0.8", "0.0.10", "0.1.2", "0.3.2", "0.5.0")  # one of each generation
BY_NAME = {version.name: version for version in VERSIONS}

pytestmark = pytest.mark.needs("uv")


def marked(version: PotassiumVersion) -> Any:
    return pytest.param(version, id=version.name, marks=() if version.name in QUICK else pytest.mark.slow)


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("potassium")


def python_of(name: str, environments: Path) -> Path:
    """The Python of a version's environment; the test is skipped where no index can be reached."""
    try:
        return make_environment(BY_NAME[name], environments)
    except subprocess.CalledProcessError as error:
        if "error sending request" in error.stderr or "dns error" in error.stderr:
            pytest.skip("needs a package index")
        raise AssertionError(error.stderr) from error


def write(folder: Path, source: str) -> Path:
    app = folder / "app.py"
    app.write_text(source)
    return app


def in_worker(python: Path, app: Path, *probes: Probe) -> list[tuple[int, Any]]:
    answers = worker_answers(python, app, list(probes), "http://127.0.0.1:9/")
    return [(answer.status, json.loads(answer.body)) for answer in answers]


@pytest.mark.parametrize("version", [marked(version) for version in VERSIONS])
def test_an_app_of_each_version_answers_as_on_its_own_server(
    version: PotassiumVersion, environments: Path, tmp_path: Path
) -> None:
    python = python_of(version.name, environments)

    rows = list(compare(version, python, tmp_path, APPS[version.app]))

    assert [row for row in rows if row.verdict == "wrong"] == []
    same = {row.feature for row in rows if row.verdict == "same"}
    assert {"handler", "handler twice"} <= same
    if version.app not in ("cache", "result webhook"):
        assert {"several routes", "status code", "background", "background done", "webhook"} <= same
    if version.app in ("bodies", "requests"):
        assert {"response headers", "octets", "typeless body", "stream"} <= same
    if version.app == "requests":
        assert "request headers" in same


def test_a_difference_that_is_not_in_the_table_is_reported_as_wrong(environments: Path, tmp_path: Path) -> None:
    version = BY_NAME["0.5.0"]
    source = APPS["requests"].replace('"scale": 3', '"scale": __import__("os").getpid()')

    rows = list(compare(version, python_of("0.5.0", environments), tmp_path, source))

    assert [row.feature for row in rows if row.verdict == "wrong"] == ["handler", "handler twice", "after an error"]
    assert isinstance(rows[0], FeatureRow)


@pytest.mark.parametrize("name", ["0.1.0", pytest.param("0.0.8", marks=pytest.mark.slow)])
def test_an_init_without_a_context_is_accepted_where_the_version_accepts_it(
    name: str, environments: Path, tmp_path: Path
) -> None:
    python, app, probes = python_of(name, environments), write(tmp_path, APPS["none"]), [Probe("handler")]

    (upstream,) = upstream_answers(python, app, probes, "")
    (worker,) = worker_answers(python, app, probes, "")

    assert json.loads(upstream.body) == json.loads(worker.body) == {"context": None}
    assert worker.status == upstream.status == 200


@pytest.mark.parametrize(
    "name", ["0.5.0", *(pytest.param(name, marks=pytest.mark.slow) for name in ("0.1.2", "0.4.1"))]
)
def test_an_init_without_a_context_is_refused_where_the_version_refuses_it(
    name: str, environments: Path, tmp_path: Path
) -> None:
    python, app = python_of(name, environments), write(tmp_path, APPS["none"])

    with pytest.raises(RuntimeError, match=r"init\(\) must return a dictionary"):
        worker_answers(python, app, [Probe("handler")], "")


OLD_NAMES = """
from potassium import Potassium, Request, Response

app = Potassium("old", "serve")
done = []


@app.init
def init():
    app.optimize({"any": "model"})
    app.set_cache({"scale": 3})


@app.handler(route="/", gpu=True)
def handler(context, request: Request):
    return Response(status=200, json={"scaled": request.json["n"] * context["scale"]})


@app.async_handler("/job")
def job(context, request: Request):
    done.append(request.json["name"])
    return Response(status=200, json={})


@app.background(path="/other", gpu=False)
def other(context, request: Request):
    done.append("other")


@app.handler("/done")
def listed(context, request: Request):
    return Response(status=200, json={"done": done, "cached": app.get_cache()})


app.serve()
"""


@pytest.mark.parametrize(
    "name", ["0.5.0", *(pytest.param(name, marks=pytest.mark.slow) for name in ("0.1.2", "0.3.2"))]
)
def test_names_of_older_versions_work_on_a_newer_one(name: str, environments: Path, tmp_path: Path) -> None:
    python, app = python_of(name, environments), write(tmp_path, OLD_NAMES)

    answers = in_worker(
        python,
        app,
        Probe("handler", body=b'{"n": 7}'),
        Probe("job", "/job", b'{"name": "first"}'),
        Probe("other", "/other"),
        Probe("done", "/done", until="other"),
    )

    assert answers == [
        (200, {"scaled": 21}),
        (200, {"started": True}),
        (200, {"started": True}),
        (200, {"done": ["first", "other"], "cached": {"scale": 3}}),
    ]


def test_the_first_form_of_a_handler_works_on_the_newest_version(environments: Path, tmp_path: Path) -> None:
    source = APPS["cache"]

    answers = in_worker(python_of("0.5.0", environments), write(tmp_path, source), Probe("handler", body=b'{"n": 7}'))

    assert answers == [(200, {"z": 21, "a": "é", "cached": ["model"]})]


@pytest.fixture
def redis() -> Iterator[int]:
    with RedisServer() as server:
        yield server.port


@pytest.mark.parametrize(
    "name", ["0.3.2", *(pytest.param(name, marks=pytest.mark.slow) for name in ("0.0.9", "0.5.0"))]
)
def test_a_background_job_leaves_its_result_in_a_store(
    name: str, redis: int, environments: Path, tmp_path: Path
) -> None:
    source = (CORPUS / "potassium-store" / "app.py").read_text().replace('"6379"', f'"{redis}"')
    python, app = python_of(name, environments), write(tmp_path, source)

    answers = in_worker(
        python,
        app,
        Probe("missing", "/result", b'{"id": "b"}'),
        Probe("work", "/work", b'{"id": "a", "n": 7}'),
        Probe("found", "/result", b'{"id": "a"}', until="49"),
    )

    assert answers == [(200, {"state": "pending"}), (200, {"started": True}), (200, {"state": "done", "result": 49})]


WORKERS = """
from potassium import Potassium, Request, Response

app = Potassium("workers", experimental_num_workers=3)
numbers = []


@app.init
def init(number):
    numbers.append(number)
    return {"number": number}


@app.handler()
def handler(context, request: Request):
    return Response(json={"numbers": sorted(numbers), "known": context["number"] in numbers})


app.serve()
"""


def test_an_app_with_workers_gets_a_context_for_each(environments: Path, tmp_path: Path) -> None:
    answers = in_worker(python_of("0.5.0", environments), write(tmp_path, WORKERS), Probe("call"))

    assert answers == [(200, {"numbers": [0, 1, 2], "known": True})]
