"""Packages that a Dockerfile installs in one stage and copies into the next."""

from __future__ import annotations

import pytest

from building_benches import bench
from platform_builds import Bench, wheel

__all__ = ["bench"]

APP = {"app.py": "import apple; print(apple.version)", "requirements.txt": "apple\n"}


def built(bench: Bench, first: str, second: str, command: str = '["python", "app.py"]') -> str:
    wheel(bench.wheels, "apple", "1.0")
    bench.write(APP)
    launch = bench.build(
        f"FROM python:3 AS build\n{bench.pip_line}COPY requirements.txt .\n{first}\n"
        f"FROM python:3-slim\n{bench.pip_line}{second}\nWORKDIR /app\nCOPY app.py .\nCMD {command}\n"
    )
    return bench.ran(launch)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('RUN python3 -m venv /opt/venv\nENV PATH="/opt/venv/bin:$PATH"\nRUN pip install -r requirements.txt',
         'COPY --from=build /opt/venv /opt/venv\nENV PATH="/opt/venv/bin:$PATH"'),
        ("RUN python3 -m venv /venv && /venv/bin/pip install -r requirements.txt", "COPY --from=build /venv /venv"),
        ("RUN pip install --user -r requirements.txt", "COPY --from=build /root/.local /root/.local"),
        ("RUN pip install --prefix=/install -r requirements.txt", "COPY --from=build /install /usr/local"),
        ("RUN pip install --target /deps -r requirements.txt", "COPY --from=build /deps /deps\nENV PYTHONPATH=/deps"),
        ("RUN pip install -r requirements.txt",
         "COPY --from=build /usr/local/lib/python3.9/site-packages /usr/local/lib/python3.9/site-packages\n"
         "COPY --from=build /usr/local/bin /usr/local/bin"),
        ("RUN pip wheel --no-deps -w /wheels -r requirements.txt",
         "COPY --from=build /wheels /wheels\nRUN pip install --no-cache /wheels/*"),
        ("RUN pip wheel --wheel-dir=/wheels -r requirements.txt",
         "COPY --from=build /wheels /wheels\nCOPY --from=build requirements.txt .\n"
         "RUN pip install --no-index --find-links=/wheels -r requirements.txt"),
    ],
    ids=["venv on PATH", "venv by path", "user", "prefix", "target", "site-packages", "wheels", "find-links"],
)  # fmt: skip
def test_packages_of_an_earlier_stage_are_there_in_the_last(first: str, second: str, bench: Bench) -> None:
    assert built(bench, first, second) == "1.0"


def test_a_program_of_a_copied_environment_starts_the_app(bench: Bench) -> None:
    first = "RUN python3 -m venv /venv && /venv/bin/pip install -r requirements.txt"

    assert built(bench, first, "COPY --from=build /venv /venv", '["/venv/bin/python", "app.py"]') == "1.0"


def test_files_beside_the_packages_are_copied_too(bench: Bench) -> None:
    wheel(bench.wheels, "apple", "1.0")
    bench.write({**APP, "app.py": "import apple; print(apple.version, open('model.bin').read())"})
    launch = bench.build(
        f"FROM python:3 AS build\n{bench.pip_line}WORKDIR /app\nRUN python3 -m venv .venv && pip install apple\n"
        "RUN echo weights > model.bin\nFROM python:3-slim\nWORKDIR /app\nCOPY --from=build /app /app\n"
        "COPY --from=build /app/.venv /app/.venv\nCOPY app.py .\nCMD python3 app.py\n"
    )

    assert bench.ran(launch) == "1.0 weights"


def test_a_pattern_that_fits_no_file_is_left_out(bench: Bench) -> None:
    bench.write({"app.py": "import os; print(*sorted(os.listdir('.')))", "package.json": "{}"})
    launch = bench.build(
        "FROM node:18\nWORKDIR /app\nCOPY package.json package-lock.json* ./\nCOPY *.py yarn.lock* ./\n"
        "CMD python3 app.py\n"
    )

    assert bench.ran(launch) == "app.py package.json"
