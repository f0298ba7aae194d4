"""Cuts a paper's text into sentences, list items and chains of arrows.

Of a long text only the method's section is used, if a heading names it. Page marks, citations and LaTeX are removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Unit", "units"]

LETTERS, UNITS, LINKS = 24_000, 40, 16  # the longest text, the most units, the longest chain
ARROW = re.compile(r"\s*(?:-{1,2}>|=>|\u2192|\u27f6|\u21d2|\\rightarrow|\\to\b)\s*")
NUMBER = r"(?:#+\s*)?(?:\d{1,2}(?:\.\d{1,2})*\.?\s+|[IVX]+\.\s+)?"
METHOD = re.compile(
    NUMBER + r"(?:proposed |our |materials and |overall )?(?:method(?:s|ology)?|approach|model|framework|architecture"
    r"|system(?: overview)?|pipeline|study design)\s*:?",
    re.IGNORECASE,
)
OTHER_SECTION = re.compile(
    NUMBER + r"(?:experiments?|experimental (?:setup|results)|results?(?: and discussion)?|evaluation|discussion"
    r"|conclusions?|related work|references|acknowledge?ments|appendix)\s*:?",
    re.IGNORECASE,
)
ITEM = re.compile(r"^\s*(?:[-*\u2022\u25cf]|\(?\d{1,2}[.)]|\(?[a-h][.)]|step \d+\s*[:.)])\s+", re.IGNORECASE)
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|et al|figs?|eqs?|sec|cf|vs|resp|approx|dr|no|al|st)\.", re.IGNORECASE)
BRACKET = re.compile(r"\s*[(\[]([^()\[\]]{0,200})[)\]]")
REFERENCE = re.compile(r"\b(?:19|20)\d\d[a-z]?\b|et al|^(?:see|fig|sec|eq|table|ref|cf)\b", re.IGNORECASE)
END_MARKS = ".;!? \u3002\uff01\uff1f\uff1b\u061f"
CLEANING: tuple[tuple[str, str], ...] = (
    (r"\r", "\n"),
    (r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u202a-\u202e\ufeff]", " "),
    (r"[^\S\n]+", " "),
    (r" ?\n ?", "\n"),
    (r"--- Page \d+ ---|\[no extractable text on this page\]|\n{3,}", "\n\n"),
    (r"\\(?:cite|ref|label|footnote|eqref)\w*(?:\[[^\]]{0,80}\])?\{[^{}]{0,200}\}", ""),
    (r"\\(?:text\w*|emph|math\w*|section|subsection)\*?\{([^{}]{0,200})\}", r"\1"),
    (r"\$([^$\n]{1,80})\$", r"\1"),
    (r"\*\*([^*\n]{1,120})\*\*|__([^_\n]{1,120})__|`([^`\n]{1,120})`", r"\1\2\3"),
    (r"(?<=[a-z])-\n\s*(?=[a-z])", ""),  # a word broken at the end of a line
    (r"\bintention to treat\b", "intention-to-treat analysis"),
    (r"\s*\[(?:\d{1,3}(?:\s*[,\u2013-]\s*\d{1,3})*)\]", ""),
)


@dataclass
class Unit:
    r"""A piece of text.

    Attributes:
        kind: Whether it is a sentence, a list item or a chain of arrows.
        text: Its words, with \\x01n\\x02 where the nth bracket stood.
        brackets: The texts of its brackets.
        links: The links of a chain.
        has_name: Whether an item's text is the name that stood before its colon.
    """

    kind: Literal["sentence", "item", "chain"]
    text: str
    brackets: list[str] = field(default_factory=list[str])
    links: list[str] = field(default_factory=list[str])
    has_name: bool = False


def units(text: str) -> list[Unit]:
    """Returns the first units of a text, in order."""
    text = text[: 4 * LETTERS]
    for pattern, replacement in CLEANING:
        text = re.sub(pattern, replacement, text)
    found: list[Unit] = []
    for line in _lines(_method_section(text)[:LETTERS]):
        if ITEM.match(line):
            found += _item_units(ITEM.sub("", line))
        else:
            found += [unit for sentence in _sentences(line) for unit in _sentence_units(sentence)]
        if len(found) >= UNITS:
            break
    return found[:UNITS]


def _method_section(text: str) -> str:
    """The section a heading calls the method; the whole text if there is no such section of eight words."""
    lines = text.split("\n")
    headings = [(place, line.strip()) for place, line in enumerate(lines) if len(line) < 80]
    start = next((place for place, line in headings if METHOD.fullmatch(line)), None)
    if start is None:
        return text
    end = next((place for place, line in headings if place > start and OTHER_SECTION.fullmatch(line)), len(lines))
    section = "\n".join(lines[start + 1 : end])
    return section if len(section.split()) >= 8 else text


def _lines(text: str) -> list[str]:
    """Paragraphs and list items; a line that ends in the middle of a sentence goes on in the next."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        first = True
        for line in (re.sub(r"^\s*#+\s*", "", line).strip() for line in paragraph.split("\n")):
            if line and (first or ITEM.match(line + " ") or ARROW.match(line)):
                lines.append(line)
                first = False
            elif line:
                lines[-1] += f" {line}"
    return lines


def _sentences(line: str) -> list[str]:
    line = ABBREVIATION.sub(lambda match: match[0].replace(".", "\x03"), line)
    parts = re.split(r"(?<=[.!?;])\s+(?=[^\W_]|[(\"'\u201c])|(?<=[\u3002\uff01\uff1f\uff1b])", line)
    return [part.replace("\x03", ".").strip() for part in parts if part.strip()]


def _sentence_units(text: str) -> list[Unit]:
    links = [link.strip(" .;,") for link in ARROW.split(text)]
    if len(links) > 1:
        links[0] = re.sub(r"^.*:\s+(?=\S)", "", links[0])
        return [Unit("chain", text, links=[link for link in links if link][:LINKS])]
    opening, *items = re.split(r"\s*\(?(?<![\w.])\(?(?:\d|i{1,3}|iv|v)\)\s+", text)
    if len(items) > 1 and len(opening.split()) < 16:  # `we (1) crop and (2) resize the images`
        return [unit for item in items for unit in _item_units(item.strip(" ,;."))]
    return [_without_brackets("sentence", text)]


def _item_units(text: str) -> list[Unit]:
    """An item, by its name if it has one before a colon, and the sentences behind it."""
    if ARROW.search(text):
        return _sentence_units(text)
    name = re.match(r"([^:.]{2,60}):\s+(.*)$", text)
    if name and len(name[1].split()) <= 6:
        return [Unit("item", name[1], [name[2].rstrip(" .;")], has_name=True)]
    sentences = _sentences(text)
    return [_without_brackets("sentence" if place else "item", sentence) for place, sentence in enumerate(sentences)]


def _without_brackets(kind: Literal["sentence", "item"], text: str) -> Unit:
    """A unit whose brackets are kept aside; citations and references to figures are dropped."""
    brackets: list[str] = []

    def replace_bracket(match: re.Match[str]) -> str:
        if REFERENCE.search(match[1]) or len(match[1]) > 40:
            return " "
        brackets.append(match[1].strip())
        return f" \x01{len(brackets) - 1}\x02"

    return Unit(kind, " ".join(BRACKET.sub(replace_bracket, text).split()).rstrip(END_MARKS), brackets)
