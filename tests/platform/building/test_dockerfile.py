"""Dockerfiles, read: what Docker's own language allows, and what is refused with the line that is wrong."""

from __future__ import annotations

import pytest

from bananastand.platform.building.dockerfile.dockerfile import Dockerfile, Instruction, parse
from bananastand.platform.building.dockerfile.variable_expansion import BadSubstitution, expand_variables, expand_words
from bananastand.platform.building.errors import DockerfileError
from bananastand.platform.building.sources.ignore import Ignored


def body(text: str) -> tuple[Instruction, ...]:
    return parse(f"FROM scratch\n{text}").stages[0].instructions


def bases(dockerfile: Dockerfile) -> list[str]:
    return [stage.base for stage in dockerfile.stages]


def test_lines_go_on_after_a_backslash_over_comments_and_empty_lines() -> None:
    (run,) = body("RUN pip install \\\n  # the server\n  potassium \\\n\n  # and this\n  pillow\n# done\n")

    assert run.name == "RUN"
    assert run.line == 2
    assert run.value.split() == ["pip", "install", "potassium", "pillow"]


def test_a_hash_inside_a_line_is_no_comment() -> None:
    assert body("RUN echo a # b")[0].value == "echo a # b"


def test_names_of_instructions_are_read_in_any_case_and_after_tabs() -> None:
    assert [instruction.name for instruction in body("run\ttrue\nCopy a b")] == ["RUN", "COPY"]


def test_the_escape_directive_changes_the_line_continuation() -> None:
    dockerfile = parse("# escape=`\nFROM scratch\nCOPY a `\n  c:\\b\n")

    assert dockerfile.stages[0].instructions[0].words({}, dockerfile.escape) == ["a", "c:\\b"]


def test_exec_form_is_distinguished_from_shell_form() -> None:
    commands = body('CMD ["python3", "-u", "app.py"]\nCMD python3 app.py\nCMD [ not json ]')

    assert [command.exec_form() for command in commands] == [("python3", "-u", "app.py"), None, None]
    with pytest.raises(DockerfileError, match="line 2: CMD takes a list of texts"):
        body("CMD [1, 2]")[0].exec_form()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A", "1"), ("${A}b", "1b"), ("$B", ""), ("${B:-2}", "2"), ("${EMPTY:-2}", "2"), ("${EMPTY-2}", ""),
        ("${A:+yes}", "yes"), ("${B:+yes}", ""), ("${EMPTY+yes}", "yes"), ("${B:-${A}0}", "10"), (r"\$A", "$A"),
        ("'$A'", "$A"), ('"$A b"', "1 b"), ("a$", "a$"), ("${A:?no}", "1"), (r'"\"x"', '"x'),
    ],
)  # fmt: skip
def test_variables_have_values_defaults_and_alternatives(text: str, value: str) -> None:
    assert expand_variables(text, {"A": "1", "EMPTY": ""}) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [("${B:?give it}", "B: give it"), ("${A", "not a form"), ("'a", "not closed"), ("${A#x}", "not a form")],
)
def test_a_variable_that_cannot_be_read_says_why(text: str, reason: str) -> None:
    with pytest.raises(BadSubstitution, match=reason):
        expand_variables(text, {"A": "1"})


def test_words_are_split_at_blanks_outside_of_quotes() -> None:
    assert expand_words("""a "b c" 'd e' f\\ g $X""", {"X": "h i"}) == ["a", "b c", "d e", "f g", "h i"]


def test_env_and_arg_in_all_their_forms() -> None:
    env, old, arg = body('ENV A=1 B="two words" C=$A\nENV GREETING hello  $A there\nARG X Y=2\n')

    assert env.pairs({"A": "before"}) == [("A", "1"), ("B", "two words"), ("C", "before")]
    assert old.pairs({"A": "1"}) == [("GREETING", "hello  1 there")]
    assert arg.pairs({}) == [("X", None), ("Y", "2")]
    with pytest.raises(DockerfileError, match="ENV takes NAME=VALUE, not 'B'"):
        body("ENV A=1 B")[0].pairs({})


def test_an_argument_before_from_is_the_base_and_may_be_given() -> None:
    text = "ARG TAG=3.11\nARG BASE=python:${TAG}-slim\nFROM $BASE\n"

    assert bases(parse(text)) == ["python:3.11-slim"]
    assert bases(parse(text, {"TAG": "3.12"})) == ["python:3.12-slim"]
    assert bases(parse(text, {"BASE": "mine"})) == ["mine"]
    with pytest.raises(DockerfileError, match=r"line 2: \$X has no value"):
        parse("ARG X\nFROM $X")


def test_stages_by_name_and_number_and_those_that_are_needed() -> None:
    dockerfile = parse(
        "FROM a AS One\nFROM b as unused\nFROM one\nCOPY --from=0 x y\nFROM d\nCOPY --chown=u --from=2 x y\n"
        "RUN --mount=type=bind,from=one,target=/x true\n"
    )

    assert dockerfile.stage("ONE", 2) is dockerfile.stages[0]
    assert dockerfile.stage("one", 0) is None
    assert dockerfile.stage("python", 3) is None
    assert [stage.index for stage in dockerfile.needed()] == [0, 2, 3]


def test_flags_are_separated_from_the_value() -> None:
    (run,) = body("RUN --mount=type=cache,target=/c --mount=type=secret,id=T python3 --version")

    assert run.flags == (("mount", "type=cache,target=/c"), ("mount", "type=secret,id=T"))
    assert run.value == "python3 --version"


def test_here_documents_are_read_and_what_is_in_them_is_no_instruction() -> None:
    run, copy = body("RUN <<EOF\nFROM nothing\n  echo $A\nEOF\nCOPY <<-'END' /a\n\tb\n\tEND\n")

    assert [(heredoc.name, heredoc.body, heredoc.expand) for heredoc in run.heredocs] == [
        ("EOF", "FROM nothing\n  echo $A\n", True)
    ]
    assert [(heredoc.name, heredoc.body, heredoc.expand) for heredoc in copy.heredocs] == [("END", "b\n", False)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: there is no FROM"),
        ("RUN true\nFROM a", "line 1: RUN stands before the first FROM"),
        ("FROM a\nRUNN true", "line 2: RUNN is no instruction"),
        ("FROM a\nRUN", "line 2: RUN says nothing"),
        ("FROM a b c", "line 1: FROM takes an image"),
        ("FROM a\nRUN <<EOF\ntrue\n", "line 2: <<EOF has no line EOF"),
        ("# escape=x\nFROM a", "line 1: escape is"),
        ("FROM a\n" + "#" * 2**20, "longer than"),
    ],
)  # fmt: skip
def test_a_syntax_error_names_its_line(text: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        parse(text)


@pytest.mark.parametrize(
    ("lines", "out", "inside"),
    [
        (["*.md"], ["a.md"], ["sub/a.md", "a.mdx"]),
        (["**/*.md"], ["a.md", "sub/deep/a.md"], ["a.txt"]),
        (["build/"], ["build", "build/x/y"], ["builder"]),
        (["*", "!app.py", "!models"], ["x", "sub/app.py"], ["app.py", "models/a/b"]),
        (["# note", "", " spaced "], ["spaced"], ["# note"]),
        (["a?c", "[xy]z"], ["abc", "xz"], ["a/c", "zz"]),
        (["/root.txt", "./other"], ["root.txt", "other"], ["sub/root.txt"]),
        (["a", "!a/b", "a/b/c"], ["a/x", "a/b/c"], ["a/b/d"]),
    ],
)
def test_dockerignore_by_dockers_rules(lines: list[str], out: list[str], inside: list[str]) -> None:
    ignored = Ignored(lines)

    assert [path for path in out if not ignored(path)] == []
    assert [path for path in inside if ignored(path)] == []
