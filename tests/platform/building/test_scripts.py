"""Scripts of a repository: the line ends of Windows, and what they write to /dev/stdout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bananastand.platform.building import BuildError
from building_benches import bench
from platform_builds import Bench

__all__ = ["bench"]

WINDOWS = "start.sh has the line ends of Windows, and its first line names no program: convert it"


def write_script(bench: Bench, text: str) -> None:
    bench.write({"start.sh": ""})
    place = Path(bench.source, "start.sh")
    place.write_bytes(text.encode())
    place.chmod(0o755)


def test_an_entrypoint_with_the_line_ends_of_windows_is_named_before_it_starts(bench: Bench) -> None:
    write_script(bench, "#!/bin/bash\r\nexec python3 app.py\r\n")

    with pytest.raises(BuildError, match=f"line 4: CMD ./start.sh: {WINDOWS}"):
        bench.build('FROM python:3\nWORKDIR /app\nCOPY . .\nENTRYPOINT ["./start.sh"]\n')


@pytest.mark.needs("bwrap")
def test_a_script_of_a_build_with_the_line_ends_of_windows_is_named(bench: Bench) -> None:
    if not bench.sandboxed:
        pytest.skip("scripts run where bubblewrap works")
    write_script(bench, "#!/bin/bash\r\necho fetching\r\n")

    with pytest.raises(BuildError, match=f"RUN ./start.sh ended with status .*{WINDOWS}"):
        bench.build("FROM python:3\nWORKDIR /app\nCOPY . .\nRUN ./start.sh\nCMD true\n")


def test_a_run_line_can_write_to_dev_stdout(bench: Bench) -> None:
    bench.build("FROM python:3\nRUN echo hello > /dev/stdout && echo sorry | tee /dev/stderr\nCMD python3\n")

    assert "hello" in bench.lines
    assert bench.lines.count("sorry") == 2


def test_a_failure_names_only_those_debian_packages_that_are_missing(bench: Bench) -> None:
    installed = "bash"
    with pytest.raises(BuildError) as failed:
        bench.build(
            f"FROM python:3\nRUN apt-get install -y {installed} no-such-package-9\nRUN ls /no/such/folder\nCMD x\n"
        )

    assert installed not in str(failed.value).partition("apt-get install")[2]
    if os.path.exists("/usr/bin/dpkg-query"):
        assert str(failed.value).endswith("sudo apt-get install no-such-package-9")
