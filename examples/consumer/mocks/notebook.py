"""A stand-in of the desk's own: a notebook that only remembers."""


class Notebook(list[str]):
    """Takes down what the desk says."""

    def write(self, line: str) -> None:
        self.append(line)
