"""Finding what a platform has left running, by a variable in its environment."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bananastand.platform.replicas.orphans import find_orphans
from bananastand.platform.replicas.start_command import PLATFORM_VARIABLE

# What setproctitle does to make room for a title: gunicorn and Ray call it.
RETITLES = """
import ctypes, time
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
first = ctypes.cast(environ, ctypes.POINTER(ctypes.c_void_p))[0]
ctypes.memset(first, 0, len(environ[0]))
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("program", [RETITLES, 'print("ready", flush=True); import time; time.sleep(600)'])
def test_a_process_is_found_also_if_it_has_set_its_title(program: str) -> None:
    environment = {"A_LONG_FIRST_VARIABLE": "x" * 200, PLATFORM_VARIABLE: "p1"}
    with subprocess.Popen([sys.executable, "-S", "-c", program], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n"
            assert list(find_orphans("p1")) == [process.pid]
            assert list(find_orphans("p")) == []
        finally:
            process.kill()
