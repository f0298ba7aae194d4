"""What can go wrong in a build.

BuildError              the text says what happened and what to do about it; the user sees it as it is
    SourceRefused           the source is not allowed, not there, too large or not safe to unpack
    DockerfileError         .line; the Dockerfile cannot be read, or one of its lines failed
    NotHonoured             .line; the builder cannot do what an instruction asks for
"""

from __future__ import annotations

__all__ = ["BuildError", "DockerfileError", "NotHonoured", "SourceRefused"]


class BuildError(Exception):
    """A build failed; the text says why and what to do."""


class SourceRefused(BuildError):
    """The source is outside of the allowed folders, missing, too large or unsafe to unpack."""


class DockerfileError(BuildError):
    """The Dockerfile cannot be read, or one of its lines failed; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"Dockerfile line {line}: {message}")
        self.line = line


class NotHonoured(DockerfileError):
    """The process builder cannot do what an instruction asks for, and the app may need it.

    The text ends with the two ways on: the container builder, and bananastand.toml. `beginning` is that of the line.
    """

    def __init__(self, line: int, message: str, beginning: str = "") -> None:
        words = " ".join(beginning.replace('"', "'").split()[:3])
        skip = f'skip = ["{words or "..."}"]'
        super().__init__(
            line,
            f"{message}. Build it with the container builder (--builder container), or, if the app does without the "
            f"line, put {skip} under [build] of bananastand.toml",
        )
