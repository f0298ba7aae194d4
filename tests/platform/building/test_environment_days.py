"""As of when open requirements resolve, and when the running environment serves."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from bananastand.platform.building import BuildError, BuildSettings
from bananastand.platform.building.sources.last_commit import date_files
from git_repositories import commit
from package_server import PackageServer, sdist
from repositories import OLD, Repository, index, installed, repository

__all__ = ["index", "repository"]


def old_and_new(index: PackageServer, dated: bool = True) -> None:
    for version, uploaded in (("4.26", "2023-01-10"), ("5.0", "2025-12-01")):
        index.add_wheel("transformers", version, uploaded=f"{uploaded}T10:00:00Z" if dated else None)


def test_open_requirements_are_those_of_the_repositorys_day(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write_app("transformers\n", old=True)

    assert installed(repository.build())["transformers"] == "4.26"
    said = "open requirements resolve as of 2023-03-01, the newest file of the source; --as-of now takes today's"
    assert said in repository.log
    assert installed(repository.build(as_of="now"))["transformers"] == "5.0"
    assert installed(repository.build(as_of="2022-12-31", pins=("transformers==4.26",)))["transformers"] == "4.26"


def test_the_last_commit_comes_before_the_files_times(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write_app("transformers\n")
    commit(repository.source, "2023-02-01T10:00:00+00:00")

    assert installed(repository.build())["transformers"] == "4.26"
    assert "as of 2023-02-01, the repository's last commit" in repository.log


def test_bananastand_toml_does_not_change_the_repositorys_date(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write_app("transformers\n", old=True)
    (repository.source / "Dockerfile").unlink()
    (repository.source / "bananastand.toml").write_text("")

    assert installed(repository.build())["transformers"] == "4.26"
    assert "there is no Dockerfile; built as if it were:" in repository.log


def test_a_repository_of_this_year_gets_the_packages_of_today(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write_app("transformers\n")

    assert installed(repository.build())["transformers"] == "5.0"
    assert "open requirements resolve as of today" in repository.log


def test_an_index_without_upload_times_is_logged_and_gives_todays_packages(repository: Repository) -> None:
    old_and_new(repository.index, dated=False)
    repository.write_app("transformers\n", old=True)

    assert installed(repository.build())["transformers"] == "5.0"
    assert "the index tells no upload times: open requirements resolve as of today" in repository.log


def test_an_exact_pin_is_taken_whenever_it_was_uploaded(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write_app("transformers==5.0\n", old=True)

    assert installed(repository.build())["transformers"] == "5.0"


def test_a_requirement_younger_than_the_day_names_the_way_on(repository: Repository) -> None:
    old_and_new(repository.index)
    repository.write_app("transformers>=5\n", old=True)
    message = r"requirements.txt line 1 \(transformers>=5\): transformers: no version .* 2023-03-01 .*--as-of now"
    with pytest.raises(BuildError, match=message):
        repository.build()


def test_an_invalid_or_future_as_of_is_refused(repository: Repository) -> None:
    repository.write_app("")
    for day in ("yesterday", "2999-01-01"):
        with pytest.raises(BuildError, match=rf"--as-of {day}: give a date that has been, such as 2023-03-01"):
            repository.build(as_of=day)


def test_the_running_environment_serves_an_app_of_today(repository: Repository) -> None:
    repository.write_app("pytest\n")
    launch = repository.build(adopt=(sys.executable,))

    assert launch.python == sys.executable
    assert "has all that is required, and is used as it is" in repository.log


def test_the_running_environment_does_not_serve_open_requirements_of_another_time(repository: Repository) -> None:
    repository.index.add_wheel("pytest", "7.2.1", uploaded="2023-01-14T10:00:00Z")
    repository.write_app("pytest\n", old=True)
    launch = repository.build(adopt=(sys.executable,))

    assert installed(launch)["pytest"] == "7.2.1"
    assert "its packages are of today, and open requirements are meant as of 2023-03-01" in repository.log


def test_the_running_environment_serves_exact_pins_that_it_has(repository: Repository) -> None:
    repository.write_app(f"pytest=={pytest.__version__}\n", old=True)
    assert repository.build(adopt=(sys.executable,)).python == sys.executable


def test_constraints_that_the_running_environment_meets_count_as_pins(repository: Repository) -> None:
    repository.write_app("pytest\n", old=True)
    (repository.source / "constraints.txt").write_text(f"pytest=={pytest.__version__}\n")
    (repository.source / "Dockerfile").write_text(
        "FROM python:3\nCOPY . .\nRUN pip install -r requirements.txt -c constraints.txt\nCMD python3 app.py\n"
    )
    os.utime(repository.source / "constraints.txt", (OLD, OLD))
    assert repository.build(adopt=(sys.executable,)).python == sys.executable


def test_the_running_environment_lacks_what_the_base_image_has_and_the_app_imports(repository: Repository) -> None:
    repository.index.add_wheel("torch", "2.9.0+cpu", index="cpu")
    repository.index.add_wheel("torchvision", "0.24.0+cpu", index="cpu")
    repository.index.add_wheel("torchaudio", "2.9.0+cpu", index="cpu")
    base = "pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime"
    repository.write_app("", base, "import torch\n")
    assert repository.build(adopt=(sys.executable,)).python == sys.executable
    repository.write_app("", base, "import torch\nfrom torchvision import transforms\n")
    launch = repository.build(adopt=(sys.executable,))

    assert "torchvision of the base image is not there" in repository.log
    packages = installed(launch)
    assert (packages["torch"], packages["torchvision"]) == ("2.9.0+cpu", "0.24.0+cpu")


def test_the_day_of_a_repository_outlasts_its_upload(repository: Repository, tmp_path: Path) -> None:
    from bananastand.cli.deploy import _pack
    from bananastand.platform.building import fetch

    repository.write_app("")
    commit(repository.source, "2023-02-01T10:00:00+00:00")
    archive, into = tmp_path / "source.tar.gz", tmp_path / "into"
    _pack(repository.source, archive)
    settings = BuildSettings(cache=tmp_path / "c", roots=(tmp_path,))

    assert asyncio.run(fetch(str(archive), into, settings=settings, log=repository.lines.append)) is None
    assert {day_of(path) for path in into.iterdir()} == {"2023-02-01"}
    found = asyncio.run(fetch(str(repository.source), tmp_path / "two", settings=settings, log=repository.lines.append))
    assert found == "2023-02-01T10:00:00+00:00"
    address = f"file://{repository.source}"
    found = asyncio.run(fetch(address, tmp_path / "three", settings=settings, log=repository.lines.append))
    assert found == "2023-02-01T10:00:00+00:00"


def test_files_of_a_pushed_commit_are_dated_by_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    date_files(tmp_path, 0)
    assert day_of(tmp_path / "a") != "2023-03-01"
    date_files(tmp_path, OLD)
    assert day_of(tmp_path / "a") == "2023-03-01"


def day_of(path: Path) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(path.lstat().st_mtime))


@pytest.mark.slow
@pytest.mark.needs("python3.8")
def test_a_repository_of_2023_gets_the_packages_of_2023_from_the_public_index(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_INDEX_URL")
    repository.write_app("transformers\npotassium\n", "python:3.8-slim", old=True)
    packages = installed(repository.build(as_of="2023-03-31"))

    assert packages["transformers"] == "4.27.4"  # of 2023-03-29; 4.28.0 came on 2023-04-13
    assert packages["potassium"].startswith("0.0.")


def test_a_cancelled_build_leaves_no_environment(repository: Repository) -> None:
    repository.index.add("fruitbowl-1.0.tar.gz", sdist("fruitbowl", "1.0", "import time; time.sleep(300)\n"))
    repository.index.add_wheel("setuptools", "70.0", requires=("fruitbowl",))
    repository.write_app("fruitbowl\n")

    async def cancelled() -> None:
        task = asyncio.create_task(repository.built(repository.source, "b"))
        while not repository.environments:
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cancelled(), 60))
    assert repository.environments == []
