"""What was read so far: the boxes, the words they are known by, and where the flow stands. Knows no verbs.

A Reader tells its sentences to a Memory, which finds the box a phrase means or makes one.
"""

from __future__ import annotations

import re

from .graph import Box, Graph, Kind
from .phrases import MARK, Phrase, phrases, same
from .vocabulary import kind_of, verb

__all__ = ["Memory", "short"]

LEADS_ON = {"and", "or", "of", "to", "in", "with", "for", "by", "on", "from", "their", "its", "between", ","}


class Memory:
    """The graph, the words each box is known by, and the boxes the flow has come to."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.known: list[tuple[str, ...]] = []
        self.flow: list[int] = []
        self.came_from: dict[int, list[int]] = {}  # where the flow stood when a box was first named
        self.done: list[tuple[str, list[int], int]] = []  # each verb, where it led, and how many boxes there were
        self.brackets: list[str] = []
        self.people = "Participants"

    def box(self, phrase: Phrase) -> int | None:
        """The box a phrase names, a new one if it is not known; a pronoun means where the flow stands."""
        if phrase.authors:
            return None
        if phrase.pronoun:
            return self.flow[-1] if self.flow else None
        if (
            (of := re.match(r"(.+) (?:outputs?|predictions?|results?)$", phrase.label))
            and (named := phrases(of[1], []))
            and (source := self.seen(named[0]))
        ):
            made = [arrow.target for arrow in self.graph.arrows if arrow.source == source[0]]
            return made[-1] if made else source[0]
        for place in range(len(self.known) - 1, -1, -1):
            if same(phrase, self.known[place]):
                self.detail(place, phrase.details)
                return place
        return self.add(phrase.label, kind_of(phrase.label), phrase.words, phrase.details)

    def add(self, label: str, kind: Kind, words: tuple[str, ...] = (), details: list[str] | None = None) -> int:
        self.graph.boxes.append(Box(label, kind))
        self.known.append(words)
        place = len(self.known) - 1
        self.came_from[place] = list(self.flow)
        self.detail(place, details or [])
        return place

    def connect(self) -> None:
        """Tie parts that no sentence tied to where the flow stood when they were first named."""
        count = len(self.graph.boxes)
        while True:
            reached = {0}
            waiting = [0]
            while waiting:
                fresh = self.graph.neighbours(waiting.pop()) - reached
                reached |= fresh
                waiting += fresh
            loose = [place for place in range(count) if place not in reached]
            if not loose:
                return
            first = self._begins(loose[0])
            before = [place for place in self.came_from[first] if place in reached] or [
                max(p for p in reached if p < loose[0])
            ]
            for place in before:
                self.graph.join(place, first)

    def derive(self) -> None:
        """What came out of nowhere but is a kind of something known, as the best passages are, comes from the flow."""
        for place, words in enumerate(self.known):
            into = any(arrow.target == place for arrow in self.graph.arrows)
            of = any(same(Phrase("", known), words) for known in self.known[:place])
            kind = self.graph.boxes[place].kind
            if not words or into or kind not in ("data", "loss"):
                continue
            of = of or (kind == "loss" and all(self.graph.boxes[each].kind != "loss" for each in self.came_from[place]))
            made = [
                to for lemma, to, count in self.done if count <= place and any(_made_by(word, lemma) for word in words)
            ]
            if made or of:
                self.arrows([each for each in (made[-1] if made else self.came_from[place]) if each != place], [place])

    def _begins(self, place: int) -> int:
        """The first box of a part that nothing leads to, a thing rather than a model."""
        part, waiting = {place}, [place]
        while waiting:
            fresh = self.graph.neighbours(waiting.pop()) - part
            part |= fresh
            waiting += fresh
        begins = sorted(part - {arrow.target for arrow in self.graph.arrows}) or [place]
        return next((each for each in begins if self.graph.boxes[each].kind == "data"), begins[0])

    def step(self, label: str, after: list[int] | None = None, details: list[list[str]] | None = None) -> list[int]:
        name = short(label, 9) or " ".join(MARK.sub("", label).split())[:60]
        if not name:
            return list(self.flow)
        place = self.add(name, "step", (), [each for of in details or [] for each in of])
        self.arrows(self.flow if after is None else after, [place])
        self.flow = [place]
        return [place]

    def onward(self, boxes: list[int]) -> None:
        self.arrows(self.flow, boxes)
        self.flow = boxes or self.flow

    def boxes(self, found: list[Phrase]) -> list[int]:
        return list(dict.fromkeys(box for phrase in found if (box := self.box(phrase)) is not None))

    def seen(self, phrase: Phrase) -> list[int]:
        return [place for place, words in enumerate(self.known) if same(phrase, words)][-1:]

    def governed(self, preps: list[tuple[str, str]], words: tuple[str, ...]) -> list[int]:
        """The boxes that stand behind these prepositions; an amount is no box."""
        texts = [
            text
            for word, text in preps
            if word in words and (word == "into" or not re.match(r"(?:[\d(<>]|\w+ing\b)", text))
        ]
        return [box for text in texts for box in self.boxes(phrases(text, self.brackets))]

    def arrows(self, sources: list[int], targets: list[int], label: str = "") -> None:
        for source in sources:
            for target in targets:
                self.graph.join(source, target, label)

    def idle(self, boxes: list[int]) -> list[int]:
        """Where the flow stands, for boxes that nothing leads to yet."""
        return (
            []
            if any(arrow.target in boxes for arrow in self.graph.arrows)
            else [each for each in self.flow if each not in boxes]
        )

    def places(self, preps: list[tuple[str, str]]) -> list[int]:
        """The models and stores in which something is done."""
        named = [phrase for word, text in preps if word in ("in", "on") for phrase in phrases(text, self.brackets)]
        return self.boxes([phrase for phrase in named if kind_of(phrase.label) in ("model", "store")])

    def plain(self, first: list[int], second: list[int]) -> bool:
        return all(self.graph.boxes[place].kind != "model" for place in first + second)

    def detail(self, place: int, details: list[str]) -> None:
        box = self.graph.boxes[place]
        for detail in details:
            if (
                detail
                and len(detail) <= 44
                and len(box.details) < 4
                and detail.lower() not in box.label.lower()
                and (detail not in box.details)
            ):
                box.details.append(detail)


def short(text: str, words: int) -> str:
    """The first words, without articles and brackets, and not ending in a word that leads on; numbers do not count."""
    kept: list[str] = []
    left = words
    for word in (each for each in MARK.sub("", text).split() if each.lower() not in ("the", "a", "an")):
        if left == 0 or len(kept) == 4 * words:
            break
        kept.append(word)
        left -= re.search(r"[^\W\d_]{2}", word) is not None
    while kept and kept[-1].lower() in LEADS_ON:
        kept.pop()
    return re.sub(r"\s+([,;:%])", r"\1", " ".join(kept)).strip(" ,;:")


def _made_by(word: str, lemma: str) -> bool:
    """Whether a word names what a verb made, as embedding and embedded do of embed."""
    known = verb(word)
    return (
        known is not None
        and known[0] == lemma
        and word != lemma
        or (len(lemma) > 5 and word.startswith(lemma[:-1]) and word != lemma)
    )
