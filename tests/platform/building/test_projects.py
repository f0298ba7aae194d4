"""Projects of poetry, pipenv and uv: what they export, and the programs that they run."""

from __future__ import annotations

import pytest

from building_benches import bench
from platform_builds import Bench, wheel

__all__ = ["bench"]

POETRY = '[tool.poetry.dependencies]\npython = "^3.8"\napple = "^1.0"\n'
PIPFILE = '[packages]\napple = "<2"\n'
LOCK = '{"default": {"apple": {"version": "==1.0"}}}'


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ("RUN poetry export --without-hashes --format=requirements.txt > r.txt\nRUN pip3 install -r r.txt",
         {"pyproject.toml": POETRY}),
        ("RUN poetry export -f requirements.txt -o /tmp/r.txt && pip install -r /tmp/r.txt",
         {"pyproject.toml": POETRY}),
        ("RUN poetry export --without-hashes | pip install -r /dev/stdin", {"pyproject.toml": POETRY}),
        ("RUN uv export --output-file=r.txt && uv pip install --system -r r.txt",
         {"pyproject.toml": '[project]\nname = "x"\ndependencies = ["apple>=1,<2"]\n'}),
        ("RUN pipenv requirements > r.txt && pip install -r r.txt", {"Pipfile": PIPFILE, "Pipfile.lock": LOCK}),
        ("RUN pipenv lock -r > r.txt\nRUN pip install -r r.txt", {"Pipfile": PIPFILE, "Pipfile.lock": LOCK}),
        ("RUN pipenv install --system --skip-lock", {"Pipfile": PIPFILE}),
        ("RUN poetry install --no-dev", {"pyproject.toml": POETRY}),
        ("RUN pipenv install --system --deploy", {"Pipfile.lock": LOCK}),
        ("RUN uv sync --frozen",
         {"pyproject.toml": '[project]\nname = "x"\ndependencies = ["apple"]\n',
          "uv.lock": '[[package]]\nname = "apple"\nversion = "1.0"\n'}),
    ],
)  # fmt: skip
def test_the_dependencies_of_a_project_are_installed(lines: str, files: dict[str, str], bench: Bench) -> None:
    for version in ("1.0", "2.0"):
        wheel(bench.wheels, "apple", version)
    bench.write({**files, "app.py": "import apple; print(apple.version)"})
    launch = bench.build(f"FROM python:3\n{bench.pip_line}WORKDIR /app\nCOPY . .\n{lines}\nCMD python3 app.py\n")

    assert bench.ran(launch) == "1.0"


@pytest.mark.parametrize(
    "command", ['["poetry", "run", "python", "app.py"]', "pipenv run python3 app.py", "uv run --no-sync python app.py"]
)
def test_a_program_is_run_in_the_builds_environment(command: str, bench: Bench) -> None:
    wheel(bench.wheels, "apple", "1.0")
    bench.write({"pyproject.toml": POETRY, "app.py": "import apple; print(open('made.txt').read(), apple.version)",
                 "download.py": "import apple; open('made.txt', 'w').write(apple.version)"})  # fmt: skip
    launch = bench.build(
        f"FROM python:3\n{bench.pip_line}WORKDIR /app\nCOPY . .\nRUN poetry install --no-root && "
        f"poetry run python3 download.py\nCMD {command}\n"
    )

    assert bench.ran(launch) == "1.0 1.0"
