"""A network with one other machine on it, which can be cut: a network namespace of Linux, for which root is needed."""

from __future__ import annotations

import os
import subprocess
from types import TracebackType
from typing import Self

import pytest

__all__ = ["CutNetwork"]


class CutNetwork:
    """Two network cards with a cable between them: this machine has .1 and .3, and the other one .2.

    Entering it skips the test where no network can be made.
    """

    def __init__(self) -> None:
        self._name = f"bs{os.getpid() % 100_000}"
        self.address = f"10.213.{os.getpid() % 250}.{{}}"
        self.command = ["ip", "netns", "exec", self._name]  # what runs a program on the other machine

    def __enter__(self) -> Self:
        here, far = f"{self._name}a", f"{self._name}b"
        try:
            _ip("netns", "add", self._name)
            _ip("link", "add", here, "type", "veth", "peer", "name", far, "netns", self._name)
            for number in (1, 3):
                _ip("address", "add", f"{self.address.format(number)}/24", "dev", here)
            _ip("link", "set", here, "up")
            _ip("-n", self._name, "address", "add", f"{self.address.format(2)}/24", "dev", far)
            _ip("-n", self._name, "link", "set", "lo", "up")
            self.mend()
        except (OSError, subprocess.CalledProcessError) as error:
            self.__exit__()
            if os.environ.get("STAND_REQUIRE_ALL") == "1" and os.geteuid() == 0:
                pytest.fail(f"no network can be made here: {error}", pytrace=False)
            pytest.skip(f"no network can be made here: {error}")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        subprocess.run(["ip", "netns", "delete", self._name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "delete", f"{self._name}a"], capture_output=True, check=False)

    def cut(self) -> None:
        """Unplug the other machine: no connection learns of it."""
        _ip("-n", self._name, "link", "set", f"{self._name}b", "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("-n", self._name, "link", "set", f"{self._name}b", "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
