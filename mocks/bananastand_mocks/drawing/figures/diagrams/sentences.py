"""Cuts a paper's text into sentences, list items and chains of arrows. Knows no grammar.

Of a long text the method's section is kept, if a heading names it; page marks, citations and LaTeX are taken out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Unit", "units"]

LETTERS, UNITS = 24_000, 40  # of a text that are read
ARROW = re.compile(r"\s*(?:-{1,2}>|=>|\u2192|\u27f6|\u21d2|\\rightarrow|\\to\b)\s*")
NUMBER = r"(?:#+\s*)?(?:\d{1,2}(?:\.\d{1,2})*\.?\s+|[IVX]+\.\s+)?"
HEADING = re.compile(
    NUMBER + r"(?:proposed |our |materials and |overall )?(?:method(?:s|ology)?|approach|model|framework|architecture"
    r"|system(?: overview)?|pipeline|study design)\s*:?",
    re.IGNORECASE,
)
NEXT = re.compile(
    NUMBER + r"(?:experiments?|experimental (?:setup|results)|results?(?: and discussion)?|evaluation|discussion"
    r"|conclusions?|related work|references|acknowledge?ments|appendix)\s*:?",
    re.IGNORECASE,
)
ITEM = re.compile(r"^\s*(?:[-*\u2022\u25cf]|\(?\d{1,2}[.)]|\(?[a-h][.)]|step \d+\s*[:.)])\s+", re.IGNORECASE)
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|et al|fig|figs|eq|eqs|sec|cf|vs|resp|approx|dr|no|al|st)\.", re.IGNORECASE)
BRACKET = re.compile(r"\s*[(\[]([^()\[\]]{0,200})[)\]]")


@dataclass
class Unit:
    """A sentence or list item with \\x01n\\x02 where its nth bracket stood; of a chain of arrows, the links."""

    kind: Literal["sentence", "item", "chain"]
    text: str
    brackets: list[str] = field(default_factory=list[str])
    links: list[str] = field(default_factory=list[str])
    labelled: bool = False  # an item that names itself before a colon


def units(text: str) -> list[Unit]:
    """The text's units in order, at most UNITS of them."""
    found: list[Unit] = []
    for line in _lines(_method(_plain(text[: 4 * LETTERS]))[:LETTERS]):
        if len(found) >= UNITS:
            break
        if ITEM.match(line):
            found += _items(ITEM.sub("", line))
        else:
            for sentence in _sentences(line):
                found += _sentence(sentence)
    return found[:UNITS]


def _plain(text: str) -> str:
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\ufeff]", " ", text.replace("\r", "\n"))
    text = re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", re.sub(r"[^\S\n]+", " ", text)))
    text = re.sub(r"--- Page \d+ ---|\[no extractable text on this page\]", "\n\n", text)
    text = re.sub(r"\\(?:cite|ref|label|footnote|eqref|citep|citet)\w*(?:\[[^\]]{0,80}\])?\{[^{}]{0,200}\}", "", text)
    text = re.sub(
        r"\\(?:textbf|textit|emph|mathrm|mathcal|mathbf|text|section|subsection)\*?\{([^{}]{0,200})\}", r"\1", text
    )
    text = re.sub(r"\$([^$\n]{1,80})\$", lambda match: re.sub(r"[{}\\]", "", match[1]), text)
    text = re.sub(r"\*\*([^*\n]{1,120})\*\*|__([^_\n]{1,120})__|`([^`\n]{1,120})`", r"\1\2\3", text)
    text = re.sub(r"(?<=[a-z])-\n\s*(?=[a-z])", "", text)
    text = re.sub(r"\bintention to treat\b", "intention-to-treat analysis", text)
    return re.sub(r"\s*\[(?:\d{1,3}(?:\s*[,\u2013-]\s*\d{1,3})*)\]", "", text)


def _method(text: str) -> str:
    """The section a heading calls the method, up to the next that is something else."""
    lines = text.split("\n")
    short = [(place, line.strip()) for place, line in enumerate(lines) if len(line) < 80]
    start = next((place for place, line in short if HEADING.fullmatch(line)), None)
    if start is None:
        return text
    end = next((place for place, line in short if place > start and NEXT.fullmatch(line)), len(lines))
    section = "\n".join(lines[start + 1 : end])
    return section if len(section.split()) >= 8 else text


def _lines(text: str) -> list[str]:
    """Paragraphs and list items; a line that ends in the middle of a sentence goes on in the next."""
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        whole: list[str] = []
        for line in block.split("\n"):
            line = re.sub(r"^\s*#+\s*", "", line)
            if whole and not ITEM.match(line) and not ARROW.match(line):
                whole[-1] += " " + line.strip()
            elif line.strip():
                whole.append(line.strip())
        lines += [each for each in whole if each]
    return lines


def _sentences(line: str) -> list[str]:
    line = ABBREVIATION.sub(lambda match: match[0].replace(".", "\x03"), line)
    parts = re.split(r"(?<=[.!?;])\s+(?=[^\W_]|[(\"'\u201c])|(?<=[\u3002\uff01\uff1f\uff1b])", line)
    return [part.replace("\x03", ".").strip() for part in parts if part.strip()]


def _sentence(text: str) -> list[Unit]:
    links = [each.strip(" .;,") for each in ARROW.split(text)]
    if len(links) > 1:
        links[0] = re.sub(r"^.*:\s+(?=\S)", "", links[0])
        return [Unit("chain", text, links=[each for each in links if each][:16])]
    inline = re.split(r"\s*\(?(?<![\w.])\(?(?:\d|i{1,3}|iv|v)\)\s+", text)
    if len(inline) > 2 and len(inline[0].split()) < 16:
        return [unit for part in inline[1:] for unit in _items(part.strip(" ,;."))]
    return [_unit("sentence", text)]


def _items(text: str) -> list[Unit]:
    """An item, by its name if it has one before a colon; then what is said of it."""
    if ARROW.search(text):
        return _sentence(text)
    name = re.match(r"([^:.]{2,60}):\s+(.*)$", text)
    if name and len(name[1].split()) <= 6:
        return [Unit("item", name[1], [name[2].rstrip(" .;")], labelled=True)]
    first, *rest = _sentences(text) or [""]
    return [_unit("item", first), *(_unit("sentence", each) for each in rest)] if first else []


def _unit(kind: Literal["sentence", "item"], text: str) -> Unit:
    brackets: list[str] = []

    def keep(match: re.Match[str]) -> str:
        if not _worth(match[1]):
            return " "
        brackets.append(match[1].strip())
        return f" \x01{len(brackets) - 1}\x02"

    return Unit(kind, " ".join(BRACKET.sub(keep, text).split()).rstrip(".;!? \u3002\uff01\uff1f\uff1b\u061f"), brackets)


def _worth(text: str) -> bool:
    """A bracket that says something of what stands before it: no citation, no reference to a figure."""
    cited = re.search(r"\b(?:19|20)\d\d[a-z]?\b|et al|^(?:see|fig|sec|eq|table|ref|cf)\b", text, re.IGNORECASE)
    return not cited and len(text) <= 40
