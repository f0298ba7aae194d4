"""RUN lines that go on where a package cannot be installed: `pip install x || true` fails no build."""

from __future__ import annotations

import pytest

from bananastand.platform.building import BuildError
from building_benches import bench
from platform_builds import Bench, wheel

__all__ = ["bench"]

SEEN = "import importlib.util as u; print(*[name for name in ('apple', 'pear') if u.find_spec(name)])"


def built(bench: Bench, lines: str) -> str:
    """Which of apple and pear an app finds after these lines. There is no package no-such-plum."""
    wheel(bench.wheels, "apple", "1.0")
    wheel(bench.wheels, "pear", "1.0")
    bench.write({"app.py": SEEN})
    return bench.ran(bench.build(f"FROM python:3\n{bench.pip_line}{lines}\nCOPY . .\nCMD python3 app.py\n"))


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("RUN pip install no-such-plum || true", ""),
        ("RUN pip install apple\nRUN pip install no-such-plum 2>/dev/null || echo 'no speedups'\nRUN pip install pear",
         "apple pear"),
        ("RUN pip install no-such-plum || pip install apple", "apple"),
        ("RUN pip install apple || pip install pear", "apple"),
        ("RUN pip install no-such-plum pear || pip install apple && pip install pear", "apple pear"),
        ("RUN pip install no-such-plum && touch /tmp/never || true", ""),
        ("RUN pip install no-such-plum; pip install apple", "apple"),
        ("RUN conda env update -f nowhere.yml || pip install apple", "apple"),
        ("RUN poetry install || pip install apple", "apple"),
    ],
)  # fmt: skip
def test_a_run_line_continues_after_a_failed_install_as_in_a_shell(lines: str, found: str, bench: Bench) -> None:
    assert built(bench, lines) == found


@pytest.mark.parametrize(
    "line",
    [
        "RUN pip install no-such-plum",
        "RUN pip install no-such-plum && true",
        "RUN set -e; pip install no-such-plum; true",
        "RUN true || true; pip install no-such-plum",
    ],
)
def test_a_package_that_the_line_needs_fails_the_build(line: str, bench: Bench) -> None:
    with pytest.raises(BuildError, match="no-such-plum"):
        built(bench, line)


def test_the_log_names_a_failed_install_that_the_line_tolerates(bench: Bench) -> None:
    built(bench, "RUN pip install no-such-plum || true")

    assert "`pip install no-such-plum` fails, and the line goes on:" in bench.log


def test_a_later_fallback_does_not_excuse_an_earlier_failed_install(bench: Bench) -> None:
    with pytest.raises(BuildError, match="line 3.*no-such-plum"):
        built(bench, "RUN pip install no-such-plum\nRUN pip install apple || true")
