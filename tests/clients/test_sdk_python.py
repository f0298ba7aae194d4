"""Every published version of banana-dev, unmodified, against each kind of app on `bananastand up`.

The table in docs/calling.md has a row for each generation; each of its cells is a test here. Versions of one generation
send the same; those that are not in QUICK run with the slow tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

import bananastand_mocks
from sdk_packages import INPUTS, PythonSdks, apps, deploy_apps, exports, mock_job
from stands import Up

VERSIONS = (
    "0.0.1", "0.0.2", "0.1.0", "1.0.0", "2.0.0", "2.0.1", "2.0.2", "3.0.0", "3.0.1", "4.0.0", "4.0.1", "4.0.2",
    "5.0.0", "5.0.1", "5.0.2", "5.1.0", "6.0.0", "6.1.0", "6.2.0", "6.3.0",
)  # fmt: skip
QUICK = ("0.0.2", "1.0.0", "2.0.1", "3.0.1", "4.0.2", "5.1.0", "6.3.0")
SETTING = ("potassium", "background", "template", "own server", "wrong key")
FIRST_API = ("0.0.1", "0.0.2", "0.1.0", "2.0.0", "2.0.1")  # they return what is under "output"
BROKEN = ("1.0.0", "2.0.2")  # their check() calls a function of their own with a wrong name

Answers = Callable[[str, str], Any]

pytestmark = pytest.mark.needs("uv")


def marked(*versions: str) -> list[Any]:
    return [pytest.param(release, marks=() if release in QUICK else pytest.mark.slow) for release in versions]


def since(first: str) -> tuple[str, ...]:
    return VERSIONS[VERSIONS.index(first) :]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    from servers import free_port

    running = Up(tmp_path_factory.mktemp("sdk") / "data", proxy=free_port())
    deploy_apps(running)
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture(scope="module")
def sdks(tmp_path_factory: pytest.TempPathFactory) -> PythonSdks:
    return PythonSdks(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def by_setting(up: Up, sdks: PythonSdks) -> Answers:
    """With the package's own setting: the URL of a Client, BANANA_URL before that."""
    base = f"http://127.0.0.1:{up.port}/banana/"

    @cache
    def drive(version: str) -> dict[str, Any]:
        variable = "BOOSTE_URL" if version == "0.0.1" else "BANANA_URL"
        kinds = [*SETTING[:-1], *(["warmup"] if version in since("6.1.0") else []), "wrong key"]
        return sdks.drive(version, {"key": up.key, "apps": apps(up), "kinds": kinds}, {variable: base, "NO_PROXY": "*"})

    return lambda version, kind: drive(version)[kind]


@pytest.fixture(scope="module")
def built_in(up: Up, sdks: PythonSdks) -> Answers:
    """With Banana's own addresses, and the variables that `bananastand up --proxy` prints."""

    @cache
    def drive(version: str) -> dict[str, Any]:
        kinds = ["potassium", "background", "template", "own server"]
        kinds += ["projects"] if version in since("6.2.0") else []
        job = {"key": up.key, "apps": apps(up, "https://NAME.run.banana.dev"), "kinds": kinds}
        return sdks.drive(version, job, exports(up))

    return lambda version, kind: drive(version)[kind]


def check_background(version: str, answer: Any) -> None:
    if version in BROKEN:
        assert answer == "TypeError: check_main() got an unexpected keyword argument 'task_id'"
    elif version in since("5.0.0"):
        assert answer == {"started": True}
    else:
        assert answer["got"] == INPUTS


@pytest.mark.parametrize("version", marked(*VERSIONS))
def test_a_potassium_app_is_called(version: str, by_setting: Answers) -> None:
    assert by_setting(version, "potassium")["got"] == INPUTS


@pytest.mark.parametrize("version", marked(*VERSIONS))
def test_a_potassium_app_works_in_the_background(version: str, by_setting: Answers) -> None:
    check_background(version, by_setting(version, "background"))


@pytest.mark.parametrize("version", marked(*VERSIONS))
def test_an_app_of_the_first_template_gets_the_inputs_as_its_body(version: str, by_setting: Answers) -> None:
    assert by_setting(version, "template") == {"words": 3, "inputs": INPUTS}


@pytest.mark.parametrize("version", marked(*VERSIONS))
def test_another_server_is_called_on_the_route(version: str, by_setting: Answers) -> None:
    answer = by_setting(version, "own server")

    target = "/generate?size=2" if version in since("5.0.0") else "/"
    assert (answer["method"], answer["target"]) == ("POST", target)


@pytest.mark.parametrize("version", marked(*VERSIONS))
def test_a_wrong_key_is_an_error_of_the_package_at_once(version: str, by_setting: Answers) -> None:
    check_wrong_key(version, by_setting(version, "wrong key"))


def check_wrong_key(version: str, answer: Any) -> None:
    if version in ("0.1.0", "2.0.0", "2.0.1"):
        assert answer == "Exception: server error: endpoint returned status code 401"
    elif version in ("1.0.0", "2.0.2", "3.0.0"):  # they hide the message that they were sent
        assert answer == "Exception: server error: Failed to return call_id"
    else:
        assert "Invalid API key" in answer


@pytest.mark.parametrize("version", marked(*since("6.1.0")))
def test_a_potassium_app_is_warmed_up(version: str, by_setting: Answers) -> None:
    assert by_setting(version, "warmup") == {"warm": True}


@pytest.mark.parametrize("version", marked(*since("0.1.0")))
def test_a_potassium_app_is_called_at_bananas_own_address(version: str, built_in: Answers) -> None:
    assert built_in(version, "potassium")["got"] == INPUTS


@pytest.mark.parametrize("version", marked(*since("0.1.0")))
def test_a_potassium_app_works_in_the_background_at_bananas_own_address(version: str, built_in: Answers) -> None:
    check_background(version, built_in(version, "background"))


@pytest.mark.parametrize("version", marked(*since("0.1.0")))
def test_an_app_of_the_first_template_is_called_at_bananas_own_address(version: str, built_in: Answers) -> None:
    assert built_in(version, "template") == {"words": 3, "inputs": INPUTS}


@pytest.mark.parametrize("version", marked(*since("0.1.0")))
def test_another_server_is_called_at_bananas_own_address(version: str, built_in: Answers) -> None:
    assert built_in(version, "own server")["method"] == "POST"


@pytest.fixture(scope="module")
def on_the_mock(sdks: PythonSdks) -> Iterator[Callable[[str], dict[str, Any]]]:
    """With the package's own setting, against the mock."""
    with bananastand_mocks.start("banana-native", virtual=False) as server:
        job = mock_job(server)

        def drive(version: str) -> dict[str, Any]:
            kinds = ["potassium", *([] if version in since("5.0.0") else ["background"])]
            kinds += ["warmup"] if version in since("6.1.0") else []
            kinds += ["projects"] if version in since("6.2.0") else []
            base = f"{server.endpoint('banana-native').base_url}/"
            variable = "BOOSTE_URL" if version == "0.0.1" else "BANANA_URL"
            environment = {variable: base, "NO_PROXY": "*"}
            return sdks.drive(version, {**job, "kinds": [*kinds, "wrong key"]}, environment)

        yield drive


@pytest.mark.parametrize("version", marked(*VERSIONS))
def test_the_mock_answers_every_call_of_a_version(version: str, on_the_mock: Callable[[str], dict[str, Any]]) -> None:
    answers = on_the_mock(version)

    picture = answers["potassium"]["output"] if version not in FIRST_API else answers["potassium"]
    assert picture.startswith("iVBOR")
    if version in BROKEN:
        check_background(version, answers["background"])
    elif version not in since("5.0.0"):
        assert answers["background"]["output"].startswith("iVBOR")
    assert answers.get("warmup", {"warm": True}) == {"warm": True}
    assert answers.get("projects", 31) == 31
    check_wrong_key(version, answers["wrong key"])


@pytest.mark.parametrize("version", marked(*since("6.2.0")))
def test_projects_are_managed_at_bananas_own_address(version: str, built_in: Answers) -> None:
    assert built_in(version, "projects") == 31
